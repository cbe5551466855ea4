//! However TCP cuts the stream, what comes out is the same; and whatever comes in, nothing panics.

use proptest::prelude::*;

use super::rig::*;

/// A conversation that visits every kind of replacement; `true` marks the client's turn.
fn conversation() -> Vec<(bool, Vec<u8>)> {
    vec![
        (true, join([query("SELECT 1"), query("UPDATE legacy")])),
        (
            false,
            join([
                rows(),
                complete("SELECT 2"),
                ready(b'I'),
                message(b'N', b"CCF001\0Mm\0\0"),
                rows(),
                complete("SELECT 2"),
                ready(b'I'),
            ]),
        ),
        (
            true,
            join([
                parse("s", "UPDATE legacy SET a = $1"),
                bind("p", "s"),
                describe('P', "p"),
                execute("p", 3),
                execute("", 3),
                close("s"),
                message(b'H', b""),
                sync(),
            ]),
        ),
        (
            false,
            join([
                bare('1'),
                bare('2'),
                message(b'T', b"\0\0"),
                message(b'D', b"hidden"),
                complete("SELECT 1"),
                message(b'D', b"seen"),
                bare('s'),
                bare('3'),
                ready(b'T'),
            ]),
        ),
        (true, query("UPDATE legacy")),
        (
            false,
            join([
                message(b'E', b"SERROR\0C23505\0Mno\0Wwhere\0\0"),
                ready(b'E'),
            ]),
        ),
        (true, query("COPY t FROM STDIN")),
        (false, message(b'G', b"\0\0\0")),
        (true, join([message(b'd', &[7; 300]), bare('c')])),
        (false, join([complete("COPY 1"), ready(b'I')])),
    ]
}

fn converse(chunk: usize) -> (Vec<u8>, Vec<u8>) {
    let mut rig = Rig::in_chunks(Rule::Write, chunk);
    rig.server(&ready(b'I'));
    for (from_client, bytes) in conversation() {
        if from_client {
            rig.client(&bytes);
        } else {
            rig.server(&bytes);
        }
    }
    assert!(rig.session.is_idle());
    (rig.to_server, rig.to_client)
}

#[test]
fn frames_cut_at_any_distance_come_out_the_same() {
    let whole = converse(usize::MAX);
    for chunk in 1..200 {
        assert_eq!(converse(chunk), whole, "in chunks of {chunk}");
    }
}

#[test]
fn a_conversation_cut_once_at_every_byte_comes_out_the_same() {
    let (to_server, to_client) = converse(usize::MAX);
    for (turn, (from_client, bytes)) in conversation().iter().enumerate() {
        for cut in 1..bytes.len() {
            let mut rig = Rig::new(Rule::Write);
            for (index, (_, bytes)) in conversation().iter().enumerate() {
                let at = if index == turn { cut } else { 0 };
                for part in [&bytes[..at], &bytes[at..]] {
                    if conversation()[index].0 {
                        rig.client(part);
                    } else {
                        rig.server(part);
                    }
                }
            }
            assert_eq!(
                rig.to_server, to_server,
                "turn {turn}, {from_client}, {cut}"
            );
            assert_eq!(rig.to_client, to_client[6..], "turn {turn}, cut {cut}");
        }
    }
}

/// A frame of a real type whose body need not fit it.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let tag = prop::sample::select(b"BCDEFHPQSXcdfp12sntTDCIZEGWAVRKN".to_vec());
    let body = prop::collection::vec(
        prop_oneof![Just(0u8), Just(b'S'), Just(b'P'), Just(b'l'), any::<u8>()],
        0..24,
    );
    (tag, body).prop_map(|(tag, body)| message(tag, &body))
}

proptest! {
    #[test]
    fn no_bytes_from_either_side_panic(
        turns in prop::collection::vec((any::<bool>(), frame(), 0usize..6), 1..40),
        chunk in 1usize..64,
        garbage in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut rig = Rig::in_chunks(Rule::Write, chunk);
        for (from_client, frame, cut) in turns {
            let bytes = &frame[..frame.len() - cut.min(frame.len() - 1)];
            let fed = if from_client {
                rig.try_client(bytes)
            } else {
                rig.try_server(bytes)
            };
            if fed.is_err() {
                return Ok(());
            }
        }
        let _ = rig.try_client(&garbage);
        let _ = rig.try_server(&garbage);
    }
}
