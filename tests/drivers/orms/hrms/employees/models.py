"""Some of the tables that each tenant has in a schema of its own."""

import uuid

from django.db import models


class Common(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    is_deleted = models.BooleanField(default=False)
    deleted_at = models.DateTimeField(null=True, blank=True)
    is_active = models.BooleanField(default=True)

    class Meta:
        abstract = True


class Department(Common):
    name = models.CharField(max_length=100)
    code = models.CharField(max_length=20, unique=True)
    description = models.TextField(blank=True)
    parent = models.ForeignKey("self", models.SET_NULL, null=True, db_constraint=False, related_name="parts")
    head = models.ForeignKey("Employee", models.SET_NULL, null=True, db_constraint=False, related_name="+")
    cost_center = models.CharField(max_length=50, blank=True)


class Employee(Common):
    metadata = models.JSONField(default=dict)
    user_id = models.UUIDField(unique=True)
    employee_id = models.CharField(max_length=50, unique=True)
    gender = models.CharField(max_length=20, blank=True)
    marital_status = models.CharField(max_length=20, blank=True)
    blood_group = models.CharField(max_length=5, blank=True)
    nationality = models.CharField(max_length=50, default="Indian")
    department = models.ForeignKey(Department, models.SET_NULL, null=True, db_constraint=False, related_name="employees")
    reporting_manager = models.ForeignKey("self", models.SET_NULL, null=True, db_constraint=False, related_name="reports")
    employment_type = models.CharField(max_length=20, default="full_time")
    employment_status = models.CharField(max_length=20, default="probation")
    date_of_joining = models.DateField()
    notice_period_days = models.PositiveSmallIntegerField(default=30)
    exit_reason = models.CharField(max_length=100, blank=True)
    work_mode = models.CharField(max_length=20, default="office")
    pan_number = models.TextField(blank=True)
    aadhaar_number = models.TextField(blank=True)
    passport_number = models.TextField(blank=True)
    uan_number = models.TextField(blank=True)
    pf_number = models.TextField(blank=True)
    esi_number = models.TextField(blank=True)
    bio = models.TextField(blank=True)
    linkedin_url = models.URLField(blank=True)


class Attendance(Common):
    employee = models.ForeignKey(Employee, models.CASCADE, db_constraint=False, related_name="attendance")
    date = models.DateField()
    status = models.CharField(max_length=20, default="present")
    total_hours = models.DecimalField(max_digits=5, decimal_places=2, default=0)
    overtime_hours = models.DecimalField(max_digits=5, decimal_places=2, default=0)
    late_minutes = models.PositiveSmallIntegerField(default=0)
    early_out_minutes = models.PositiveSmallIntegerField(default=0)
    is_flagged = models.BooleanField(default=False)
    device_id = models.CharField(max_length=255, blank=True)
    is_regularized = models.BooleanField(default=False)
    regularization_reason = models.TextField(blank=True)

    class Meta:
        db_table = "attendance_attendancerecord"
        unique_together = [("employee", "date")]


class HolidayLocation(models.Model):
    """A table between two others, whose ids every schema counts for itself."""

    holiday_id = models.UUIDField()
    location_id = models.UUIDField()

    class Meta:
        db_table = "leave_holiday_locations"
        unique_together = [("holiday_id", "location_id")]
