//! What the process may do: once everything is bound, it goes on as a user of its own, without any privilege and without a way back
//! (capabilities(7): whoever goes from user 0 to another keeps none). TCP-MD5, TTL security and everything else that is done later
//! need none.

use super::sockopt;

/// No thread that is started from now on, and nothing that it runs, gets privileges from files. To be called before there are
/// threads.
///
/// # Errors
/// A sentence: the kernel does not know how.
pub fn renounce() -> Result<(), String> {
    sockopt::refuse_new_privileges().map_err(|error| format!("privileges from files cannot be refused: {error}"))
}

/// Goes on as `name`, with its groups, in every thread.
///
/// # Errors
/// A sentence that names the fix: there is no such user, or only root could become it.
pub fn become_user(name: &str) -> Result<(), String> {
    let told = |error| format!("[router] user {name}: {error}");
    let user = sockopt::find_user(name).map_err(|error| told(error.to_string()))?;
    let user =
        user.ok_or_else(|| told("there is no such user on this machine: make it, or remove the key".to_owned()))?;
    let now = sockopt::effective_uid();
    if now == user.uid {
        return Ok(());
    }
    if now != 0 {
        return Err(told(format!("user {now} cannot become another one: start as root, or remove the key")));
    }
    sockopt::become_user(&user).map_err(|error| told(error.to_string()))?;
    if user.uid != 0 && sockopt::can_become_root() {
        return Err(told("the kernel would give the privileges back".to_owned()));
    }
    Ok(())
}
