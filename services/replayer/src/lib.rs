pub mod restore;
