from django.apps import AppConfig


class Tenants(AppConfig):
    name = "hrms.tenants"
    label = "tenants"
    default_auto_field = "django.db.models.BigAutoField"
