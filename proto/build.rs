//! Generates the message types and the service from the proto files, into `OUT_DIR`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tonic_prost_build::configure()
        .bytes(".")
        .compile_protos(&["hindsight/v1/hindsight.proto"], &["."])?;
    Ok(())
}
