//! Compiles the few lines of C that stand between this crate and the system's libavcodec, when that is wanted.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "libav")]
    shim();
}

#[cfg(feature = "libav")]
fn shim() {
    println!("cargo:rerun-if-changed=src/libav/shim.c");
    let mut build = cc::Build::new();
    let mut libraries = Vec::new();
    // In the order in which a linker needs them.
    for (name, least) in [("libavcodec", "58.134"), ("libavutil", "56.70")] {
        // Before the shim's own library, `pkg-config` says nothing to the linker: a library stands behind those that need it.
        let found = pkg_config::Config::new()
            .atleast_version(least)
            .cargo_metadata(false)
            .probe(name);
        match found {
            Ok(library) => {
                build.includes(&library.include_paths);
                libraries.push(library);
            }
            Err(error) => panic!(
                "the feature `libav` needs the headers of {name} {least} or newer (Debian: {name}-dev, pkg-config): {error}"
            ),
        }
    }
    build
        .file("src/libav/shim.c")
        .std("c11")
        .extra_warnings(true)
        .warnings(true)
        .compile("sdvr_libav_shim");
    for library in libraries {
        for path in library.link_paths {
            println!("cargo:rustc-link-search=native={}", path.display());
        }
        for name in library.libs {
            println!("cargo:rustc-link-lib={name}");
        }
    }
}
