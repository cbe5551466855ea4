from django.apps import AppConfig


class Employees(AppConfig):
    name = "hrms.employees"
    label = "employees"
    default_auto_field = "django.db.models.BigAutoField"
