//! What people see of it all: many chats on a real network, whose pages are few.

use magpie_kernels::{CacheKind, Tier};
use tempfile::NamedTempFile;

use super::*;
use crate::arch::Spec;
use crate::file::ModelFile;
use crate::native::{NativeConfig, NativeNetwork};
use crate::testmodel::{self, CONTEXT_TOKENS, Kind};

static MODEL: LazyLock<NamedTempFile> = LazyLock::new(|| testmodel::write(Kind::Qwen3, &[]));

#[derive(Debug, Clone, Copy)]
struct Machine {
    tier: Tier,
    threads: usize,
    cache: CacheKind,
    pages: usize,
}

impl Machine {
    fn bench(self, pace: Pace) -> Bench {
        let Self { tier, threads, cache, pages } = self;
        let file = ModelFile::open(MODEL.path()).unwrap();
        let spec = Spec::of(&file).unwrap();
        let cache_bytes = pages * spec.page_shape(cache).page_bytes();
        let config =
            NativeConfig { threads, tier, quantization: None, cache, cache_bytes, context_tokens: CONTEXT_TOKENS };
        let network = NativeNetwork::load(&file, spec, &config, &mut |_, _| {}).unwrap();
        let scheduler = Scheduler::new(Box::new(network), Arc::clone(&TOKENIZER), pace, Rates::default());
        Bench { scheduler, diary: Diary::default() }
    }

    fn longest(self) -> usize {
        CONTEXT_TOKENS.min(self.pages * PAGE_TOKENS)
    }

    /// The answer as it is on a machine of its own that never answered anything.
    fn solo(self, ask: &Ask) -> (String, Completion) {
        let mut bench = self.bench(pace(1));
        let mut reader = bench.submit(ask);
        bench.run();
        reader.answer()
    }
}

fn machine() -> impl Strategy<Value = Machine> {
    let tier = prop::sample::select(Tier::available());
    let cache = prop::sample::select(vec![CacheKind::F16, CacheKind::Q8]);
    (tier, 1usize..3, cache, 3usize..14).prop_map(|(tier, threads, cache, pages)| Machine {
        tier,
        threads,
        cache,
        pages,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn chats_say_the_same_as_alone_whatever_they_share_lose_and_compute_again(
        machine in machine(),
        max_batch_size in 2usize..6,
        (alone, beside) in (1usize..40, 1usize..40),
        events in prop::collection::vec(chatter(), 1..24),
    ) {
        let pace = Pace { alone: rows(alone), beside: rows(beside), ..pace(max_batch_size) };
        let mut bench = machine.bench(pace);
        let mut played = Played::play(&mut bench, events);
        played.check(machine.longest(), &mut |ask| machine.solo(ask))?;
        played.ask_again(&mut bench).check(machine.longest(), &mut |ask| machine.solo(ask))?;
    }
}
