//! Whatever the scene says: a picture or an error, no panic, no overflow, no flood of memory.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|scene: &str| {
    static PHOTO: OnceLock<Vec<u8>> = OnceLock::new();
    let photo = PHOTO.get_or_init(|| effects_render::test_card(64, 64).expect("a small card"));
    if let Err(error) = effects_render::paint_scene(photo, scene, "a scene", 512, 512) {
        assert!(matches!(error, effects_render::PaintError::Scene { .. }), "{error}");
    }
});
