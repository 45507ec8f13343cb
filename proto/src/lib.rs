//! The generated API, and nothing else.

pub use google::longrunning;
pub use hindsight::v1;

mod hindsight {
    pub mod v1 {
        #![allow(clippy::all, clippy::clone_on_ref_ptr, clippy::too_many_lines, unreachable_pub)]
        #![allow(rustdoc::broken_intra_doc_links, rustdoc::bare_urls, rustdoc::invalid_html_tags)]
        tonic::include_proto!("hindsight.v1");
    }
}

mod google {
    /// Operations that take long, as [AIP-151](https://google.aip.dev/151) has them.
    pub mod longrunning {
        #![allow(clippy::all, clippy::clone_on_ref_ptr, clippy::too_many_lines, unreachable_pub)]
        #![allow(rustdoc::broken_intra_doc_links, rustdoc::bare_urls, rustdoc::invalid_html_tags)]
        tonic::include_proto!("google.longrunning");
    }
}

/// Everything above as a `google.protobuf.FileDescriptorSet`, for reflection.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("descriptors");
