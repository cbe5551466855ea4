//! A standby of a running server, by streaming replication, and its promotion.

use super::{Postgres, SUPERUSER, TestbedError, run};

impl Postgres {
    /// A hot standby that streams from this server under a name of its own, by which `synchronous_standby_names` may wait
    /// for it. It is of the same settings.
    pub async fn standby(&self, name: &str) -> Result<Postgres, TestbedError> {
        let settings: Vec<(&str, &str)> = self
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut standby = Self::without_data(self.binaries.clone(), &settings)?;
        let mut copy = standby.command("pg_basebackup", false)?;
        let from = format!(
            "host=127.0.0.1 port={} user={SUPERUSER} application_name={name}",
            self.port
        );
        copy.args(["--checkpoint=fast", "--wal-method=stream", "--no-sync"])
            .args(["--write-recovery-conf", "--dbname", &from, "--pgdata"])
            .arg(standby.data());
        run(copy, "").await?;
        standby.launch_anywhere().await?;
        Ok(standby)
    }

    /// Makes a standby the primary; it takes writes when this returns.
    pub async fn promote(&self) -> Result<(), TestbedError> {
        let client = self.connect("postgres").await?;
        client.batch_execute("SELECT pg_promote()").await?;
        Ok(())
    }

    /// Has every commit wait for the standby of this name, once that is there.
    pub async fn commit_on(&self, standby: &str) -> Result<(), TestbedError> {
        let client = self.connect("postgres").await?;
        let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'");
        client.batch_execute(&sql).await?;
        client.batch_execute("SELECT pg_reload_conf()").await?;
        // From the first that is seen to be, every commit waits.
        loop {
            let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
            let row = client.query_one(sql, &[]).await?;
            if row.get::<_, i64>(0) > 0 {
                return Ok(());
            }
            tokio::time::sleep(super::START_POLL).await;
        }
    }
}
