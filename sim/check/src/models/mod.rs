//! Models to check histories against, each with its operations, answers and their JSON form.

pub mod cas_register;
mod cell;
mod container;
pub mod counter;
pub mod fenced_lock;
pub mod key_value;
pub mod lease;
pub mod list_append;
pub mod mutex;
pub mod priority_queue;
pub mod queue;
pub mod register;
pub mod semaphore;
pub mod set;
pub mod stack;
pub mod strings;
pub mod transactional;
