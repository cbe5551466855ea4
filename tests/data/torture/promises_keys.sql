-- The foreign keys of a table of columns are those of its unified table.
ALTER TABLE promises
  ADD CONSTRAINT promises_cascading_fkey FOREIGN KEY (cascading) REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE,
  ADD CONSTRAINT promises_nulled_fkey FOREIGN KEY (nulled) REFERENCES users ON DELETE SET NULL ON UPDATE SET NULL,
  ADD CONSTRAINT promises_defaulted_fkey FOREIGN KEY (defaulted) REFERENCES users ON DELETE SET DEFAULT ON UPDATE CASCADE,
  ADD CONSTRAINT promises_kept_fkey FOREIGN KEY (kept) REFERENCES users ON DELETE RESTRICT ON UPDATE RESTRICT,
  ADD CONSTRAINT promises_late_fkey FOREIGN KEY (late) REFERENCES users DEFERRABLE INITIALLY DEFERRED;
