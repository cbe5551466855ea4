-- The columns that the accounts get.
ALTER TABLE main_customuser
  ADD manager_id bigint REFERENCES main_customuser DEFERRABLE INITIALLY DEFERRED,
  ADD technician_id bigint UNIQUE REFERENCES main_technician DEFERRABLE INITIALLY DEFERRED,
  ADD employee_id varchar(50) UNIQUE, ADD department varchar(100), ADD job_title varchar(100),
  ADD phone varchar(20), ADD hire_date date, ADD custom_fields jsonb, ADD last_login_ip inet,
  ADD failed_login_attempts integer, ADD account_locked_until timestamptz, ADD created_at timestamptz,
  ADD updated_at timestamptz;
CREATE INDEX ON main_customuser (manager_id);
CREATE INDEX ON main_customuser (is_active, department);
