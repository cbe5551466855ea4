from django.apps import AppConfig


class Crm(AppConfig):
    name = "crm"
    # The tables are called main_….
    label = "main"
    default_auto_field = "django.db.models.BigAutoField"
