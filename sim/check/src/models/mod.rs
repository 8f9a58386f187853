//! Models to check histories against, each with its operations, answers and their JSON form.

pub mod cas_register;
mod cell;
pub mod key_value;
pub mod register;
pub mod strings;
pub mod transactional;
