#![no_main]

// Loaded before the first input, whose time is bounded.
libfuzzer_sys::fuzz_target!(
    init: {
        let _ = fuzz_targets::kernel::is_loaded();
    },
    |input: &[u8]| fuzz_targets::kernel::run(input)
);
