"""The models of a CRM as its old version has them. Django manages their tables."""

from django.contrib.auth.models import AbstractUser, Group, Permission
from django.core.validators import MinValueValidator
from django.db import models


class CustomUser(AbstractUser):
    pass


class Technician(models.Model):
    user = models.OneToOneField(CustomUser, models.SET_NULL, null=True, related_name="technician")
    employee_id = models.CharField(max_length=50, unique=True)
    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)
    phone = models.CharField(max_length=20)
    email = models.EmailField()
    hire_date = models.DateField(null=True)
    is_active = models.BooleanField(default=True)
    base_hourly_rate = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    emergency_contact = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class EnhancedUser(AbstractUser):
    groups = models.ManyToManyField(Group, blank=True, related_name="enhanced_users")
    user_permissions = models.ManyToManyField(Permission, blank=True, related_name="enhanced_users")
    manager = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="subordinates")
    technician = models.OneToOneField(Technician, models.SET_NULL, null=True, blank=True, related_name="user_account")
    employee_id = models.CharField(max_length=50, unique=True, null=True, blank=True)
    department = models.CharField(max_length=100, blank=True)
    job_title = models.CharField(max_length=100, blank=True)
    phone = models.CharField(max_length=20, blank=True)
    hire_date = models.DateField(null=True, blank=True)
    custom_fields = models.JSONField(default=dict, blank=True)
    last_login_ip = models.GenericIPAddressField(null=True, blank=True)
    failed_login_attempts = models.PositiveIntegerField(default=0, validators=[MinValueValidator(0)])
    account_locked_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
