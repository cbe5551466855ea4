//! What went on lately, as the database counts it: looked at every few seconds and kept in memory for some minutes.
//!
//! What is counted since a server's or a proxy's start may begin anew; then a moment is left out, never shown as less than
//! nothing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rewrite_rules::{Migration, RuleSet, TableName};
use tokio_postgres::Client;

use crate::backfill::state::CopyProgress;
use crate::control::error::ControlError;

/// Between two looks: one statement.
pub(super) const EVERY: Duration = Duration::from_secs(5);
/// Half an hour.
const POINTS_MAX: usize = 360;

/// What went on in a moment, each in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    pub old_read: f64,
    pub old_written: f64,
    pub new_read: f64,
    pub new_written: f64,
    pub fallbacks: f64,
    pub divergences: f64,
}

/// What is shown of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Trends {
    /// The oldest first.
    pub points: Vec<Point>,
    /// Rows a second of backfills, by table and whether it goes back.
    copied: HashMap<(String, bool), f64>,
}

impl Trends {
    pub fn copied_per_second(&self, copy: &CopyProgress) -> Option<f64> {
        let key = (copy.legacy_table.clone(), copy.direction.is_reverse());
        self.copied.get(&key).copied()
    }
}

/// Where the counters stand.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counted {
    numbers: [i64; 6],
    copied: HashMap<(String, bool), i64>,
}

#[derive(Debug, Default)]
struct Kept {
    last: Option<(Instant, Counted)>,
    points: VecDeque<Point>,
    copied: HashMap<(String, bool), f64>,
}

#[derive(Debug, Default)]
pub(super) struct Watched {
    by_migration: Mutex<BTreeMap<String, Kept>>,
}

impl Watched {
    pub fn of(&self, migration: &str) -> Trends {
        let all = self
            .by_migration
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let kept = all.get(migration);
        kept.map_or_else(Trends::default, |kept| Trends {
            points: kept.points.iter().copied().collect(),
            copied: kept.copied.clone(),
        })
    }

    /// Looks at every migration once.
    pub async fn look(&self, client: &Client, rules: &RuleSet) -> Result<(), ControlError> {
        let mut found = Vec::new();
        for migration in rules.migrations() {
            found.push((migration.name.clone(), counted(client, migration).await?));
        }
        self.take(found, Instant::now());
        Ok(())
    }

    fn take(&self, found: Vec<(String, Counted)>, now: Instant) {
        let mut all = self
            .by_migration
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.retain(|name, _| found.iter().any(|(known, _)| known == name));
        for (name, counted) in found {
            all.entry(name).or_default().take(counted, now);
        }
    }
}

impl Kept {
    fn take(&mut self, counted: Counted, now: Instant) {
        if let Some((at, last)) = &self.last {
            let seconds = now.duration_since(*at).as_secs_f64();
            if let Some(point) = point(&last.numbers, &counted.numbers, seconds) {
                self.points.push_back(point);
                if self.points.len() > POINTS_MAX {
                    self.points.pop_front();
                }
            }
            let rate = |(key, now): (&(String, bool), &i64)| {
                let since = now - last.copied.get(key)?;
                (since >= 0 && seconds > 0.0).then(|| (key.clone(), since as f64 / seconds))
            };
            let rates: Vec<_> = counted.copied.iter().filter_map(rate).collect();
            // Of a few looks, so that one slow chunk does not make an hour of a minute.
            self.copied = rates
                .into_iter()
                .map(|(key, rate)| {
                    let before = self.copied.get(&key).copied().unwrap_or(rate);
                    (key, before * 0.6 + rate * 0.4)
                })
                .collect();
        }
        self.last = Some((now, counted));
    }
}

/// What happened between two looks; `None`: a counter began anew.
fn point(before: &[i64; 6], now: &[i64; 6], seconds: f64) -> Option<Point> {
    if seconds <= 0.0 || before.iter().zip(now).any(|(before, now)| now < before) {
        return None;
    }
    let rate = |at: usize| (now[at] - before[at]) as f64 / seconds;
    Some(Point {
        old_read: rate(0),
        old_written: rate(1),
        new_read: rate(2),
        new_written: rate(3),
        fallbacks: rate(4),
        divergences: rate(5),
    })
}

async fn counted(client: &Client, migration: &Migration) -> Result<Counted, ControlError> {
    let legacy: Vec<String> = migration.tables.iter().map(|t| t.legacy.sql()).collect();
    let unified = migration.tables.iter().flat_map(|t| t.unified_tables());
    let unified: Vec<String> = unified.map(TableName::sql).collect();
    let row = client
        .query_one(
            "WITH rows AS (SELECT side, sum(t.seq_tup_read + coalesce(t.idx_tup_fetch, 0))::bigint AS read, \
                 sum(t.n_tup_ins + t.n_tup_upd + t.n_tup_del)::bigint AS written \
                 FROM (SELECT 'old' AS side, unnest($2::text[]) AS name UNION SELECT 'new', unnest($3::text[])) AS s \
                 JOIN pg_stat_user_tables AS t ON t.relid = to_regclass(s.name) GROUP BY side), \
             seen AS (SELECT sum(fallbacks)::bigint AS fallbacks, sum(divergences)::bigint AS divergences \
                 FROM crossfade.instances WHERE migration = $1) \
             SELECT coalesce((SELECT read FROM rows WHERE side = 'old'), 0), \
                 coalesce((SELECT written FROM rows WHERE side = 'old'), 0), \
                 coalesce((SELECT read FROM rows WHERE side = 'new'), 0), \
                 coalesce((SELECT written FROM rows WHERE side = 'new'), 0), \
                 coalesce(fallbacks, 0), coalesce(divergences, 0), \
                 ARRAY(SELECT legacy_table FROM crossfade.backfill WHERE migration = $1 ORDER BY legacy_table, reverse), \
                 ARRAY(SELECT reverse FROM crossfade.backfill WHERE migration = $1 ORDER BY legacy_table, reverse), \
                 ARRAY(SELECT rows_done FROM crossfade.backfill WHERE migration = $1 ORDER BY legacy_table, reverse) \
             FROM seen",
            &[&migration.name, &legacy, &unified],
        )
        .await
        .map_err(ControlError::sql("look at what goes on"))?;
    let (tables, reverse, done): (Vec<String>, Vec<bool>, Vec<i64>) =
        (row.get(6), row.get(7), row.get(8));
    let keys = tables.into_iter().zip(reverse);
    Ok(Counted {
        numbers: [0, 1, 2, 3, 4, 5].map(|at| row.get(at)),
        copied: keys.zip(done).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(numbers: [i64; 6], copied: i64) -> Counted {
        Counted {
            numbers,
            copied: HashMap::from([(("t".to_owned(), false), copied)]),
        }
    }

    #[test]
    fn what_happened_between_two_looks_is_told_in_a_second() {
        let watched = Watched::default();
        let begin = Instant::now();
        let look = |numbers, copied, seconds| {
            let now = begin + Duration::from_secs(seconds);
            watched.take(vec![("m".to_owned(), counted(numbers, copied))], now);
        };
        look([0; 6], 0, 0);
        assert_eq!(watched.of("m").points, []);
        look([10, 20, 30, 40, 50, 60], 100, 10);
        let point = watched.of("m").points[0];
        assert_eq!((point.old_read, point.divergences), (1.0, 6.0));
        assert_eq!(watched.of("m").copied[&("t".to_owned(), false)], 10.0);
        // The server's counters were reset, and a backfill began anew.
        look([0, 20, 30, 40, 50, 60], 0, 20);
        assert_eq!(watched.of("m").points.len(), 1);
        assert!(watched.of("m").copied.is_empty());
        look([0, 20, 30, 40, 50, 160], 5, 30);
        assert_eq!(watched.of("m").points[1].divergences, 10.0);
        watched.take(Vec::new(), begin + Duration::from_secs(40));
        assert!(watched.of("m").points.is_empty());
    }

    #[test]
    fn no_more_is_kept_than_is_shown() {
        let mut kept = Kept::default();
        let begin = Instant::now();
        for number in 0..1000_u32 {
            let now = begin + EVERY * number;
            kept.take(counted([i64::from(number); 6], 0), now);
        }
        assert_eq!(kept.points.len(), POINTS_MAX);
    }
}
