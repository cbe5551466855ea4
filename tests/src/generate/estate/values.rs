//! Values that a column takes, and values for which it has no room.

use super::Grammar;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Small,
    Name,
    Zip,
    Price,
    Sold,
    Due,
    Born,
    Lag,
    First,
    Free,
    Pay,
}

impl Kind {
    pub(super) fn sql_type(self) -> &'static str {
        match self {
            Kind::Integer => "integer",
            Kind::Small => "smallint",
            Kind::Name | Kind::First | Kind::Free => "text",
            Kind::Zip => "zip",
            Kind::Price | Kind::Pay => "numeric",
            Kind::Sold => "timestamp",
            Kind::Due => "timestamptz",
            Kind::Born => "date",
            Kind::Lag => "interval",
        }
    }

    fn fits(self) -> &'static [&'static str] {
        match self {
            Kind::Integer => &["1", "2", "3", "4 + 1", "6::bigint"],
            Kind::Small => &["5", "-7", "'12'", "40.4", "NULL", "3::bigint"],
            Kind::Name | Kind::First => &[
                "'short'",
                "'a' || 'b'",
                "'é ü'",
                "'spaces              '",
                "12345",
                "'x'::varchar(3)",
            ],
            Kind::Free => &["'any'", "NULL", "''", "'it''s'"],
            Kind::Zip => &[
                "'00123'",
                "'9'",
                "NULL",
                "repeat('7', 3)",
                "'42'::text",
                "'77'::zip",
            ],
            Kind::Price | Kind::Pay => &[
                "12.5",
                "0",
                "'1e2'",
                "9.999",
                "NULL",
                "1/3::float8",
                "7::bigint",
            ],
            Kind::Sold => &[
                "'2024-07-01 12:00:00.5'",
                "'2024-03-31 02:30'",
                "'2024-07-01 12:00+05'::timestamptz",
                "'infinity'",
                "NULL",
                "'01/02/2003 04:05'",
                "to_timestamp(86400.25)",
                "date '2001-05-06'",
            ],
            Kind::Due => &[
                "'2024-07-01 12:00'",
                "'2024-07-01 12:00:00.7+02'",
                "timestamp '2024-10-27 02:30'",
                "'-infinity'",
                "NULL",
                "'01/02/2003 04:05'",
                "date '2001-05-06'",
                "'2024-03-31 02:30 Europe/Berlin'",
            ],
            Kind::Born => &[
                "'2024-02-29'",
                "'01/02/2003'",
                "date '2001-05-06'",
                "'2001-05-06 23:30'::timestamp",
                "'2024-07-01 23:30Z'::timestamptz",
                "NULL",
            ],
            Kind::Lag => &[
                "'1 day 02:00'",
                "'P1DT3H'",
                "'1-2'",
                "interval '3 months'",
                "NULL",
                "'-1 2:03'",
            ],
        }
    }

    fn too_much(self) -> &'static [&'static str] {
        match self {
            Kind::Integer => &["4000000000", "-2147483649", "'many'", "3000000000::bigint"],
            Kind::Small => &["40000", "'many'", "32767.6", "40000::bigint"],
            Kind::Name => &[
                "'longer than twelve'",
                "repeat('long', 5)",
                "'a  b  c  d  e  f'",
                "1234567890123",
            ],
            Kind::First => &["'longer than ten'", "repeat('long', 5)", "12345678901"],
            Kind::Free => &["'any'"],
            Kind::Zip => &["'12a'", "'123456'", "repeat('7', 6)", "''", "'x'::text"],
            Kind::Price => &[
                "1000000",
                "95000",
                "'abc'",
                "'NaN'",
                "99999.999",
                "1e8::float8",
            ],
            Kind::Pay => &["10000", "9999.999", "'abc'", "1e8::float8"],
            Kind::Sold => &["'not a time'", "'2024-13-01'", "'2024-02-30 12:00'"],
            Kind::Due => &["'not a time'", "'2024-13-01'", "'2024-07-01 12:00 Nowhere'"],
            Kind::Born => &["'2024-02-30'", "'13/13/2003'", "'soon'"],
            Kind::Lag => &["'soon'", "'1 parsec'"],
        }
    }

    fn no_room(self) -> Option<&'static str> {
        Some(match self {
            Kind::Integer => "no room: integer in bigint",
            Kind::Small => "no room: smallint in integer",
            Kind::Name | Kind::First => "no room: varchar in text",
            Kind::Zip => "no room: domain over its base",
            Kind::Price | Kind::Pay => "no room: bounded numeric",
            Kind::Sold => "no room: timestamp in timestamptz",
            Kind::Due => "no room: timestamptz in timestamp",
            Kind::Born => "no room: date in text",
            Kind::Lag => "no room: interval",
            Kind::Free => return None,
        })
    }

    /// Columns of houses beside the key and the name.
    pub(super) const OF_HOUSES: [(&'static str, Kind); 7] = [
        ("price", Kind::Price),
        ("zip", Kind::Zip),
        ("size", Kind::Small),
        ("sold", Kind::Sold),
        ("due", Kind::Due),
        ("born", Kind::Born),
        ("lag", Kind::Lag),
    ];
}

impl Grammar<'_> {
    /// A value that a column takes.
    pub(super) fn fitting(&mut self, kind: Kind) -> String {
        let literal = self.choices.pick(kind.fits());
        if matches!(kind, Kind::Sold | Kind::Due | Kind::Born) && literal != "NULL" {
            self.saw("times converted");
        }
        self.constant(kind, literal)
    }

    /// The same, now and then one for which it has no room.
    pub(super) fn value(&mut self, kind: Kind) -> String {
        if let Some(construct) = kind.no_room().filter(|_| self.choices.chance(14)) {
            self.saw(construct);
            let literal = self.choices.pick(kind.too_much());
            return self.constant(kind, literal);
        }
        if self.choices.chance(6) {
            self.saw("DEFAULT as a value");
            return "DEFAULT".to_owned();
        }
        self.fitting(kind)
    }
}
