//! Socket fuzzing: messages of the protocol, mutated by a seeded generator, sent to a server in
//! this process over loopback.
//!
//! `SEXTANT_FUZZ_MESSAGES` sets the number (20,000 unless set; a million by hand) and
//! `SEXTANT_FUZZ_SEED` where to start. Whatever is sent, another connection still answers, and no
//! task of the server panics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sextant::Server;
use sextant::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Messages sent on one connection.
const PER_CONNECTION: usize = 50;
/// How long a reply is read before the next message goes out.
const PAUSE: Duration = Duration::from_micros(200);

/// SplitMix64: the same numbers for a seed on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as i32 + 4).to_be_bytes();
    [&[kind], length.as_slice(), body].concat()
}

fn startup(version: i32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as i32 + 8).to_be_bytes();
    [length.as_slice(), &version.to_be_bytes(), body].concat()
}

/// Well-formed messages to start from.
fn corpus() -> Vec<Vec<u8>> {
    let bind = b"p\0s\0\0\x01\0\x00\0\x01\0\0\0\x011\0\x01\0\x01";
    vec![
        message(b'Q', b"select 1\0"),
        message(b'Q', b"select * from t where a = 1; insert into t values (2)\0"),
        message(b'Q', b"begin; declare c cursor for select 1; fetch c\0"),
        message(b'Q', b"copy t from stdin\0"),
        message(b'Q', b"copy t to stdout (format binary)\0"),
        message(b'Q', b"create role x login password 'x'\0"),
        message(b'P', b"s\0select $1::int\0\0\x01\0\0\0\x17"),
        message(b'B', bind),
        message(b'D', b"Ss\0"),
        message(b'D', b"Pp\0"),
        message(b'E', b"p\0\0\0\0\x05"),
        message(b'C', b"Ss\0"),
        message(b'd', b"1\t2\n"),
        message(b'c', b""),
        message(b'f', b"no\0"),
        message(b'p', b"SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd"),
        message(b'p', b"c=biws,r=abcd,p=AAAA"),
        message(b'F', b"\0\0\0\x01\0\0\0\0"),
        message(b'H', b""),
        message(b'S', b""),
    ]
}

fn hello() -> Vec<u8> {
    startup(3 << 16, b"user\0ann\0database\0sextant\0\0")
}

/// A few bytes changed, cut, doubled, or a length that lies.
fn mutate(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.next() as u8),
            4 if bytes.len() > 4 => {
                bytes[1..5].copy_from_slice(&(random.below(64) as i32 - 8).to_be_bytes());
            }
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}

/// Sends messages until the server hangs up or enough are sent; the number sent.
async fn attack(address: SocketAddr, random: &mut Random, corpus: &[Vec<u8>]) -> usize {
    let Ok(mut socket) = TcpStream::connect(address).await else { return 0 };
    let first = match random.below(4) {
        0 => mutate(random, hello()),
        1 => startup(80_877_103, b""),
        _ => hello(),
    };
    let mut sent = 1;
    if socket.write_all(&first).await.is_err() {
        return sent;
    }
    let mut reply = vec![0; 64 << 10];
    while sent < PER_CONNECTION {
        let chosen = corpus[random.below(corpus.len())].clone();
        let chosen = mutate(random, chosen);
        sent += 1;
        if socket.write_all(&chosen).await.is_err() {
            break;
        }
        match tokio::time::timeout(PAUSE, socket.read(&mut reply)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(_)) | Err(_) => {}
        }
    }
    sent
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Resident memory, bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// A worker's stack, as the program gives it.
const STACK_BYTES: usize = 32 << 20;

#[test]
fn mutated_messages_harm_nobody() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .unwrap();
    // Spawned, so that all of it runs on the workers' stacks.
    runtime.block_on(runtime.spawn(fuzz())).unwrap();
}

async fn fuzz() {
    let panics = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&panics);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        counted.fetch_add(1, Ordering::SeqCst);
        usual(info);
    }));
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: folder.path().to_string_lossy().into_owned(),
        threads: 2,
        ..Config::default()
    };
    let server = Server::start(config).await.unwrap();
    let address = server.local_addr();
    let options = format!("host=127.0.0.1 port={} user=ann dbname=sextant", address.port());
    let (witness, connection) =
        tokio_postgres::connect(&options, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    witness.batch_execute("create table t (a int, b int)").await.unwrap();
    let (total, seed) = (setting("SEXTANT_FUZZ_MESSAGES", 20_000), setting("SEXTANT_FUZZ_SEED", 1));
    let corpus = corpus();
    let mut random = Random(seed);
    let (mut sent, mut round, mut warm, mut secured) = (0, 0, 0, false);
    while sent < total as usize {
        sent += attack(address, &mut random, &corpus).await;
        round += 1;
        if round % 50 == 0 {
            let answer = witness.query_one("select 40 + 2", &[]).await.unwrap();
            assert_eq!(answer.get::<_, i32>(0), 42);
        }
        // The last quarter meets the request for a password.
        if !secured && sent > total as usize / 4 * 3 {
            let role = "create role ann superuser login password 'geheim'";
            witness.batch_execute(role).await.unwrap();
            secured = true;
        }
        if warm == 0 && sent > 5_000 {
            warm = resident();
        }
        assert_eq!(panics.load(Ordering::SeqCst), 0, "seed {seed}, connection {round}");
    }
    let grown = resident().saturating_sub(warm);
    assert!(grown < 512 << 20, "{grown} bytes more than after the first messages");
    server.shutdown().await.unwrap();
}
