//! Which known word did somebody mean?

pub(super) use tapcode_engine::nearest::nearest;
