//! Generates the message types and the services from the proto files, and their descriptors, into
//! `OUT_DIR`.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = PathBuf::from(std::env::var("OUT_DIR")?).join("descriptors.bin");
    let mut config = tonic_prost_build::Config::new();
    // For messages that travel inside a google.protobuf.Any.
    config.enable_type_names();
    tonic_prost_build::configure()
        .bytes(".")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .file_descriptor_set_path(descriptors)
        .compile_with_config(config, &["hindsight/v1/hindsight.proto"], &["."])?;
    Ok(())
}
