//! Bad input at random: each target is tried with generated input until its time is over. Nothing may panic, take memory out of
//! proportion to what came, or cost more than the bad part itself.
//!
//! `DESKBRIDGE_FUZZ_SECONDS` is the time of each target, `DESKBRIDGE_FUZZ_SEED` the seed that a failure printed. The time is
//! real time: it says how long to look, never what is expected.

mod decoders;
mod hostile;
mod limits;
mod others;
mod reading;
mod webhooks;

use std::cell::Cell;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Targets run one after another: the memory that is counted is the whole process's.
static ALONE: Mutex<()> = Mutex::new(());

/// Waits until no other test runs. Every test here does, since its memory would be counted as another's.
fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds of a target, unless `DESKBRIDGE_FUZZ_SECONDS` says another number.
const SECONDS: u64 = 2;

/// Cases between two looks at the clock.
const ROUND: u32 = 16;

/// Bytes of a failing input that are shown; the seed makes the whole of it again.
const SHOWN: usize = 2_000;

/// What a case came to.
type Outcome = Result<(), TestCaseError>;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; it must be a whole number")))
}

/// Tries a target until its time is over. A failure is made as small as it goes, and shown with the seed.
fn fuzz<S: Strategy>(target: &str, strategy: &S, property: impl Fn(S::Value) -> Outcome)
where
    S::Value: Debug,
{
    let _alone = alone();
    let seed = setting("DESKBRIDGE_FUZZ_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let time = Duration::from_secs(setting("DESKBRIDGE_FUZZ_SECONDS").unwrap_or(SECONDS));
    let config = Config { cases: ROUND, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let (begun, cases) = (Instant::now(), Cell::new(0));
    let counted = |input| {
        cases.set(cases.get() + 1);
        property(input)
    };
    println!("{target}: seed {seed}");
    for round in 0.. {
        if begun.elapsed() >= time {
            break;
        }
        // A runner ends for good once it has done its cases.
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes(seed, target, round));
        let mut runner = TestRunner::new_with_rng(config.clone(), rng);
        if let Err(error) = runner.run(strategy, counted) {
            let told = match error {
                TestError::Fail(why, input) => format!("{why}\ninput: {}", shortened(&format!("{input:?}"))),
                TestError::Abort(why) => format!("no input could be made: {why}"),
            };
            panic!("{target}: DESKBRIDGE_FUZZ_SEED={seed}: {told}");
        }
    }
    println!("{target}: {} cases in {:.1} s", cases.get(), begun.elapsed().as_secs_f64());
    assert!(cases.get() >= ROUND, "{target}: nothing was tried");
}

/// The seed of a round of a target.
fn bytes(seed: u64, target: &str, round: u64) -> [u8; 32] {
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&hasher.finish().to_le_bytes());
    bytes[16..24].copy_from_slice(&round.to_le_bytes());
    bytes
}

fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN);
    if end < text.len() { format!("{} … ({} bytes in all)", &text[..end], text.len()) } else { text.to_owned() }
}

/// Does something with `input` bytes of input, which may take at its peak `times` as much memory, and `besides` bytes besides.
fn within<T>(input: usize, times: usize, besides: usize, work: impl FnOnce() -> T) -> Result<T, TestCaseError> {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let done = work();
    let taken = MEMORY.peak_usage().saturating_sub(before);
    let allowed = input * times + besides;
    match taken <= allowed {
        true => Ok(done),
        false => Err(TestCaseError::fail(format!("{input} bytes took {taken} bytes of memory, more than {allowed}"))),
    }
}

#[test]
fn a_failure_is_found_shrunk_and_repeated_by_its_seed() {
    let _alone = alone();
    let found = |seed: u64| {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes(seed, "itself", 0));
        let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new_with_rng(config, rng).run(&(0_u32..100_000), |number| match number {
            0..500 => Ok(()),
            _ => Err(TestCaseError::fail("large")),
        });
        format!("{outcome:?}")
    };
    assert!(found(7).contains("500"), "not shrunk: {}", found(7));
    assert_eq!(found(7), found(7));
    assert!(within(10, 1, 0, || vec![0_u8; 1_000_000].len()).is_err(), "memory is not counted");
    assert!(within(10, 1, 2_000_000, || vec![0_u8; 1_000_000].len()).is_ok());
}
