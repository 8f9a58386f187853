//! Models to check histories against, each with its operations, answers and their JSON form.

pub mod cas_register;
mod cell;
mod container;
pub mod key_value;
pub mod mutex;
pub mod priority_queue;
pub mod queue;
pub mod register;
pub mod stack;
pub mod transactional;
