//! A client's parameters passed on as they came: their bytes and format codes, no decoding.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type};

/// A type that the client declared in Parse; 0 leaves the choice to the server, as it did there.
pub fn declared(oid: u32) -> Type {
    Type::from_oid(oid).unwrap_or_else(|| {
        Type::new(
            "declared".to_owned(),
            oid,
            Kind::Simple,
            "pg_catalog".to_owned(),
        )
    })
}

#[derive(Debug)]
pub struct Raw<'a> {
    binary: bool,
    value: Option<&'a [u8]>,
}

impl<'a> Raw<'a> {
    pub fn new(format: i16, value: Option<&'a [u8]>) -> Self {
        Raw {
            binary: format == 1,
            value,
        }
    }
}

impl ToSql for Raw<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.value {
            Some(value) => {
                out.put_slice(value);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    /// The server checks what the bytes are; here any type will do.
    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        if self.binary {
            Format::Binary
        } else {
            Format::Text
        }
    }

    fn to_sql_checked(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(ty, out)
    }
}
