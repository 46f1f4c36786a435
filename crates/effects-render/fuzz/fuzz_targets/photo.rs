//! Whatever the bytes are: a photo's size or an error, no panic and no flood of memory.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|photo: &[u8]| {
    match effects_render::photo_size(photo) {
        Ok((width, height)) => {
            assert!((1..=effects_render::MAX_SIDE).contains(&width));
            assert!((1..=effects_render::MAX_SIDE).contains(&height));
        }
        // The guard against panics in decoders keeps them from the caller, but they are bugs.
        Err(error) => assert!(!error.to_string().contains("gave it up"), "{error}"),
    }
});
