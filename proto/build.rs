//! Compiles the `.proto` files with protox, so that no `protoc` is needed on the user's machine.
use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;
use prost_types::{FieldDescriptorProto, FileDescriptorSet, field_descriptor_proto::Type};

const FILES: [&str; 6] = [
    "ribwatch/v1/alerts.proto",
    "ribwatch/v1/neighbors.proto",
    "ribwatch/v1/nlri.proto",
    "ribwatch/v1/routes.proto",
    "ribwatch/v1/control.proto",
    "ribwatch/v1/rpki.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    let mut descriptors = protox::compile(FILES, ["."])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("descriptors.bin"), descriptors.encode_to_vec())?;
    keep_attributes_encoded(&mut descriptors)?;
    tonic_prost_build::configure().bytes(".ribwatch.v1.Route.attributes").compile_fds(descriptors)?;
    Ok(())
}

/// In Rust alone, `Route.attributes` becomes the encoded octets of its message. An embedded message and a
/// `bytes` field look the same on the wire (both are length-delimited), so other clients see no difference;
/// but thousands of routes share one attribute set, which is now encoded and decoded once instead of per route.
fn keep_attributes_encoded(descriptors: &mut FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    let field = route_attributes(descriptors).ok_or("routes.proto has no field Route.attributes")?;
    field.set_type(Type::Bytes);
    field.type_name = None;
    Ok(())
}

fn route_attributes(descriptors: &mut FileDescriptorSet) -> Option<&mut FieldDescriptorProto> {
    let messages = descriptors.file.iter_mut().flat_map(|file| &mut file.message_type);
    let route = messages.into_iter().find(|message| message.name() == "Route")?;
    route.field.iter_mut().find(|field| field.name() == "attributes")
}
