//! A server without a database: it lets everybody in and answers every message at once. Behind
//! it a proxy can hold sessions by the thousand, which PostgreSQL's processes would not fit.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::load::script::message;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen, as host:port
    #[arg(long)]
    pub listen: String,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(&args.listen).await?;
        loop {
            let (client, _) = listener.accept().await?;
            tokio::spawn(async move {
                // A client that goes away is no matter here.
                let _gone = answer(client).await;
            });
        }
    })
}

async fn answer(mut client: TcpStream) -> anyhow::Result<()> {
    client.set_nodelay(true)?;
    let length = client.read_u32().await? as usize;
    discard(&mut client, length.saturating_sub(4)).await?;
    let mut out = Vec::new();
    message(&mut out, b'R', |body| body.extend_from_slice(&[0; 4]));
    message(&mut out, b'S', |body| {
        body.extend_from_slice(b"client_encoding\0UTF8\0");
    });
    message(&mut out, b'K', |body| body.extend_from_slice(&[0; 8]));
    ready(&mut out);
    client.write_all(&out).await?;
    loop {
        let tag = client.read_u8().await?;
        let length = client.read_u32().await? as usize;
        discard(&mut client, length.saturating_sub(4)).await?;
        out.clear();
        match tag {
            b'P' => message(&mut out, b'1', |_| {}),
            b'B' => message(&mut out, b'2', |_| {}),
            b'D' => message(&mut out, b'n', |_| {}),
            b'E' => complete(&mut out),
            b'Q' => {
                complete(&mut out);
                ready(&mut out);
            }
            b'S' => ready(&mut out),
            b'X' => return Ok(()),
            _ => {}
        }
        client.write_all(&out).await?;
    }
}

fn complete(out: &mut Vec<u8>) {
    message(out, b'C', |body| body.extend_from_slice(b"SELECT 0\0"));
}

fn ready(out: &mut Vec<u8>) {
    message(out, b'Z', |body| body.push(b'I'));
}

async fn discard(client: &mut TcpStream, mut bytes: usize) -> anyhow::Result<()> {
    let mut nothing = [0; 512];
    while bytes > 0 {
        let step = bytes.min(nothing.len());
        bytes -= client.read_exact(&mut nothing[..step]).await?;
    }
    Ok(())
}
