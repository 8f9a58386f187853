//! A panic in a node is a finding, not the end of the campaign.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether a panic on this thread is being caught, and where in the source the last one was raised.
    static CATCHING: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`; if it panics, returns the message and the place in the source, and prints nothing.
///
/// What `work` changes may be left half changed: the caller must only look at what it knows to be whole.
///
/// # Errors
/// The message and the place, if it panics.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    install_hook();
    let outer = CATCHING.replace(Some(String::new()));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    let place = CATCHING.replace(outer).unwrap_or_default();
    result.map_err(|payload| format!("{}{place}", message(&*payload)))
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
}

/// The hook is the only place that knows where a panic was raised. Outside of `catch` it does what it did before.
fn install_hook() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let default = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let caught = CATCHING.with_borrow_mut(|catching| match catching {
                Some(place) => {
                    *place = info
                        .location()
                        .map_or(String::new(), |place| format!(" (at {place})"));
                    true
                }
                None => false,
            });
            if !caught {
                default(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_and_the_place_are_kept_and_nesting_works() {
        let outer = catch(|| {
            let inner = catch(|| panic!("inner {}", 1)).unwrap_err();
            assert!(
                inner.starts_with("inner 1 (at ") && inner.contains("panics.rs:"),
                "{inner}"
            );
            assert_eq!(catch(|| 7), Ok(7));
            panic!("outer");
        });
        assert!(outer.unwrap_err().starts_with("outer (at "));
    }
}
