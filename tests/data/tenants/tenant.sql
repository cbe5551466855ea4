-- The tables of one tenant, in the schema that comes first in the path.
CREATE TABLE employees_department (
  id uuid NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, is_deleted boolean NOT NULL, deleted_at timestamptz, deleted_by_id uuid, created_by_id uuid, updated_by_id uuid, is_active boolean NOT NULL, name varchar(100) NOT NULL, code varchar(20) NOT NULL, description text NOT NULL, branch_id uuid, parent_id uuid, head_id uuid, cost_center varchar(50) NOT NULL,
  CONSTRAINT employees_department_pkey PRIMARY KEY (id),
  CONSTRAINT employees_department_code_key UNIQUE (code));
CREATE TABLE employees_designation (
  id uuid NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, is_deleted boolean NOT NULL, deleted_at timestamptz, deleted_by_id uuid, created_by_id uuid, updated_by_id uuid, is_active boolean NOT NULL, name varchar(100) NOT NULL, code varchar(20) NOT NULL, description text NOT NULL, level smallint NOT NULL, grade varchar(20) NOT NULL, job_family varchar(50) NOT NULL, min_salary numeric(12,2), max_salary numeric(12,2),
  CONSTRAINT employees_designation_pkey PRIMARY KEY (id),
  CONSTRAINT employees_designation_code_key UNIQUE (code));
CREATE TABLE employees_location (
  id uuid NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, is_deleted boolean NOT NULL, deleted_at timestamptz, deleted_by_id uuid, created_by_id uuid, updated_by_id uuid, is_active boolean NOT NULL, name varchar(100) NOT NULL, code varchar(20) NOT NULL, address_line1 varchar(255) NOT NULL, city varchar(100) NOT NULL, state varchar(100) NOT NULL, country varchar(100) NOT NULL, postal_code varchar(20) NOT NULL, latitude numeric(10,8), longitude numeric(11,8), geo_fence_radius integer NOT NULL, timezone varchar(50) NOT NULL, is_headquarters boolean NOT NULL,
  CONSTRAINT employees_location_pkey PRIMARY KEY (id));
CREATE TABLE employees_employee (
  id uuid NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, is_deleted boolean NOT NULL, deleted_at timestamptz, deleted_by_id uuid, created_by_id uuid, updated_by_id uuid, is_active boolean NOT NULL, metadata jsonb NOT NULL, user_id uuid NOT NULL, employee_id varchar(50) NOT NULL, date_of_birth date, gender varchar(20) NOT NULL, marital_status varchar(20) NOT NULL, blood_group varchar(5) NOT NULL, nationality varchar(50) NOT NULL, department_id uuid, designation_id uuid, location_id uuid, branch_id uuid, reporting_manager_id uuid, hr_manager_id uuid, shift_id uuid, employment_type varchar(20) NOT NULL, employment_status varchar(20) NOT NULL, date_of_joining date NOT NULL, confirmation_date date, probation_end_date date, notice_period_days smallint NOT NULL, date_of_exit date, exit_reason varchar(100) NOT NULL, last_working_date date, work_mode varchar(20) NOT NULL, pan_number text NOT NULL, aadhaar_number text NOT NULL, passport_number text NOT NULL, passport_expiry date, uan_number text NOT NULL, pf_number text NOT NULL, esi_number text NOT NULL, bio text NOT NULL, linkedin_url varchar(200) NOT NULL,
  CONSTRAINT employees_employee_pkey PRIMARY KEY (id),
  CONSTRAINT employees_employee_employee_id_key UNIQUE (employee_id),
  CONSTRAINT employees_employee_user_id_key UNIQUE (user_id));
CREATE TABLE attendance_attendancerecord (
  id uuid NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, is_deleted boolean NOT NULL, deleted_at timestamptz, deleted_by_id uuid, created_by_id uuid, updated_by_id uuid, is_active boolean NOT NULL, employee_id uuid NOT NULL, branch_id uuid, date date NOT NULL, check_in timestamptz, check_out timestamptz, status varchar(20) NOT NULL, total_hours numeric(5,2) NOT NULL, overtime_hours numeric(5,2) NOT NULL, late_minutes smallint NOT NULL, early_out_minutes smallint NOT NULL, is_flagged boolean NOT NULL, device_id varchar(255) NOT NULL, is_regularized boolean NOT NULL, regularization_reason text NOT NULL, approved_by_id uuid,
  CONSTRAINT attendance_attendancerecord_pkey PRIMARY KEY (id),
  CONSTRAINT attendance_attendancerecord_employee_id_date_uniq UNIQUE (employee_id, date));
CREATE TABLE leave_leavebalance (
  id uuid NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, is_deleted boolean NOT NULL, deleted_at timestamptz, deleted_by_id uuid, created_by_id uuid, updated_by_id uuid, is_active boolean NOT NULL, employee_id uuid NOT NULL, leave_type_id uuid NOT NULL, year smallint NOT NULL, opening_balance numeric(5,1) NOT NULL, accrued numeric(5,1) NOT NULL, taken numeric(5,1) NOT NULL, adjustment numeric(5,1) NOT NULL, carry_forward numeric(5,1) NOT NULL, encashed numeric(5,1) NOT NULL,
  CONSTRAINT leave_leavebalance_pkey PRIMARY KEY (id),
  CONSTRAINT leave_leavebalance_employee_id_leave_type_id_year_uniq UNIQUE (employee_id, leave_type_id, year));
CREATE TABLE payroll_payrollrun (
  id uuid NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, is_deleted boolean NOT NULL, deleted_at timestamptz, deleted_by_id uuid, created_by_id uuid, updated_by_id uuid, is_active boolean NOT NULL, name varchar(100) NOT NULL, month smallint NOT NULL, year smallint NOT NULL, branch_id uuid, pay_date date, status varchar(20) NOT NULL, total_gross numeric(16,2) NOT NULL, total_deductions numeric(16,2) NOT NULL, total_net numeric(16,2) NOT NULL, processed_at timestamptz, approved_at timestamptz, processed_by_id uuid, approved_by_id uuid,
  CONSTRAINT payroll_payrollrun_pkey PRIMARY KEY (id),
  CONSTRAINT payroll_payrollrun_year_month_branch_id_uniq UNIQUE (year, month, branch_id));
CREATE TABLE payroll_payslip (
  id uuid NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, is_deleted boolean NOT NULL, deleted_at timestamptz, deleted_by_id uuid, created_by_id uuid, updated_by_id uuid, is_active boolean NOT NULL, payroll_run_id uuid NOT NULL, employee_id uuid NOT NULL, earnings jsonb NOT NULL, deductions jsonb NOT NULL, gross_salary numeric(12,2) NOT NULL, total_deductions numeric(12,2) NOT NULL, net_salary numeric(12,2) NOT NULL,
  CONSTRAINT payroll_payslip_pkey PRIMARY KEY (id),
  CONSTRAINT payroll_payslip_payroll_run_id_employee_id_uniq UNIQUE (payroll_run_id, employee_id));
CREATE TABLE leave_holiday_locations (
  id bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY, holiday_id uuid NOT NULL, location_id uuid NOT NULL,
  CONSTRAINT leave_holiday_locations_pkey PRIMARY KEY (id),
  CONSTRAINT leave_holiday_locations_holiday_id_location_id_uniq UNIQUE (holiday_id, location_id));
