//! Socket options that neither the standard library nor tokio knows: TCP-MD5 (RFC 2385), GTSM (RFC 5082), TTL
//! and traffic class; settings of the process: its limit of open files, its page size, its user; the addresses of
//! the interfaces; and the clock that a service manager knows, too. The only file with `unsafe`: every block is one call of the system with pointers to live values of
//! exactly the size it is told, or reads what such a call returned.
//!
//! Linux only, as are the numbers below (`include/uapi/linux/tcp.h`, `in.h`, `in6.h`).

#![allow(unsafe_code, reason = "these system calls have no safe wrapper; each block says why its own is sound")]

use std::{
    ffi::{CStr, CString, c_int, c_void},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, BorrowedFd},
};

use crate::types::Prefix;

const TCP_MD5SIG: c_int = 14;
const TCP_MD5SIG_EXT: c_int = 32;
const TCP_MD5SIG_FLAG_PREFIX: u8 = 1;
const IP_MINTTL: c_int = 21;
const IPV6_MINHOPCOUNT: c_int = 73;

/// Longest TCP-MD5 key (`TCP_MD5SIG_MAXKEYLEN`).
pub const MD5_KEY_LEN_MAX: usize = 80;

/// Class selector 6, "network control" (RFC 4594 §3.1), as the octet of the IP header.
const TRAFFIC_CLASS: c_int = 0xc0;

/// `struct tcp_md5sig` of Linux: 216 octets.
#[repr(C)]
struct TcpMd5Sig {
    /// `struct sockaddr_storage` as octets.
    address: [u8; 128],
    flags: u8,
    prefix_len: u8,
    key_len: u16,
    interface: c_int,
    key: [u8; MD5_KEY_LEN_MAX],
}

const _: () = assert!(size_of::<TcpMd5Sig>() == 216, "the kernel expects this size");

fn set<T>(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let pointer: *const c_void = std::ptr::from_ref(value).cast();
    // SAFETY: `pointer` and the length describe `value`, which lives until the call returns; the kernel only
    // reads it. `T` is an integer or `TcpMd5Sig`, whose octets are all initialised (it has no padding: asserted
    // by its size).
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, pointer, size_of::<T>() as libc::socklen_t) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives `socket` the TCP-MD5 key for segments from and to `peer`; an empty key removes it.
///
/// On a listener it must be set before the first SYN comes, on a client before it connects. A listener holds a
/// few hundred keys (`net.core.optmem_max`); one key with a prefix counts as one.
///
/// # Errors
/// The kernel's: no room for more keys (`ENOMEM`), no such key to remove (`ENOENT`), no TCP-MD5 in the kernel
/// (`ENOPROTOOPT`); a key longer than 80 octets is `InvalidInput`.
pub fn set_md5_key(socket: BorrowedFd<'_>, peer: Prefix, key: &[u8]) -> io::Result<()> {
    let mut padded = [0; MD5_KEY_LEN_MAX];
    let Some(room) = padded.get_mut(..key.len()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a TCP-MD5 key has at most 80 octets"));
    };
    room.copy_from_slice(key);
    let whole = peer == Prefix::host(peer.addr());
    let signature = TcpMd5Sig {
        address: socket_address(peer.addr()),
        flags: if whole { 0 } else { TCP_MD5SIG_FLAG_PREFIX },
        prefix_len: if whole { 0 } else { peer.len() },
        key_len: key.len() as u16,
        interface: 0,
        key: padded,
    };
    set(socket, libc::IPPROTO_TCP, if whole { TCP_MD5SIG } else { TCP_MD5SIG_EXT }, &signature)
}

/// `struct sockaddr_in` or `sockaddr_in6` with port 0, in the room of a `sockaddr_storage`.
fn socket_address(address: IpAddr) -> [u8; 128] {
    // Both begin with family and port; the address follows at once (IPv4) or after the flow label (IPv6).
    let (family, offset, octets) = match address {
        IpAddr::V4(v4) => (libc::AF_INET, 4, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, 8, v6.octets().to_vec()),
    };
    let mut storage = [0; 128];
    let fields = (family as u16).to_ne_bytes().into_iter().chain(std::iter::repeat_n(0, offset - 2)).chain(octets);
    for (place, octet) in storage.iter_mut().zip(fields) {
        *place = octet;
    }
    storage
}

/// Sends with this TTL (hop limit on IPv6).
///
/// # Errors
/// The kernel's.
pub fn set_ttl(socket: BorrowedFd<'_>, is_v4: bool, ttl: u8) -> io::Result<()> {
    if is_v4 {
        set(socket, libc::IPPROTO_IP, libc::IP_TTL, &c_int::from(ttl))
    } else {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, &c_int::from(ttl))
    }
}

/// Drops what arrives with a smaller TTL (RFC 5082 §3).
///
/// # Errors
/// The kernel's.
pub fn set_min_ttl(socket: BorrowedFd<'_>, is_v4: bool, ttl: u8) -> io::Result<()> {
    if is_v4 {
        set(socket, libc::IPPROTO_IP, IP_MINTTL, &c_int::from(ttl))
    } else {
        set(socket, libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT, &c_int::from(ttl))
    }
}

/// Marks what is sent as network control (DSCP CS6), so that keepalives survive a full link.
///
/// # Errors
/// The kernel's.
pub fn set_network_control(socket: BorrowedFd<'_>, is_v4: bool) -> io::Result<()> {
    if is_v4 {
        set(socket, libc::IPPROTO_IP, libc::IP_TOS, &TRAFFIC_CLASS)
    } else {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &TRAFFIC_CLASS)
    }
}

/// Has the kernel back this process's memory with pages of 4 KiB only. The allocator asks for pages of 2 MiB, of
/// which a table that grows by doubling leaves much unused: a full table took 145 MiB with them and 102 MiB
/// without, at the same CPU time (benches/run ingest, 1,000,000 prefixes).
///
/// # Errors
/// The kernel's.
pub fn refuse_huge_pages() -> io::Result<()> {
    let (on, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: PR_SET_THP_DISABLE takes integers only and touches no memory of ours.
    let result = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, on, unused, unused, unused) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Raises the limit of open files as far as the hard limit allows, and returns it. A session is one file.
///
/// # Errors
/// The kernel's.
pub fn raise_open_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit` to the live value behind the pointer.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the kernel reads one `rlimit` from the live value behind the pointer.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// A user of this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Its name.
    pub name: CString,
    /// Its number.
    pub uid: u32,
    /// The number of its first group.
    pub gid: u32,
}

/// Octets of what is known of a user; far more than any has.
const USER_OCTETS: usize = 64 * 1024;

/// The user with this name.
///
/// # Errors
/// The system's.
pub fn find_user(name: &str) -> io::Result<Option<User>> {
    let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut texts = vec![0; USER_OCTETS];
    let mut entry = std::mem::MaybeUninit::<libc::passwd>::uninit();
    let mut found: *mut libc::passwd = std::ptr::null_mut();
    // SAFETY: the name ends with a zero octet; entry, texts and result are live, and the length is that of `texts`.
    let result =
        unsafe { libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), texts.as_mut_ptr(), texts.len(), &raw mut found) };
    if result != 0 {
        return Err(io::Error::from_raw_os_error(result));
    }
    // SAFETY: null, or a pointer to `entry`, which was filled then and lives.
    let found = unsafe { found.as_ref() };
    Ok(found.map(|entry| User { uid: entry.pw_uid, gid: entry.pw_gid, name }))
}

/// Goes on as `user` with its groups, in all threads (nptl(7): the C library sees to that).
///
/// # Errors
/// The kernel's; some of it may have been done, so the process should end.
pub fn become_user(user: &User) -> io::Result<()> {
    // SAFETY: the name ends with a zero octet and lives; the rest are numbers.
    let results = unsafe {
        [
            libc::initgroups(user.name.as_ptr(), user.gid),
            libc::setresgid(user.gid, user.gid, user.gid),
            libc::setresuid(user.uid, user.uid, user.uid),
        ]
    };
    if results == [0; 3] { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether this process could be user 0 again; it is, if so.
pub fn can_become_root() -> bool {
    // SAFETY: numbers only.
    unsafe { libc::setresuid(0, 0, 0) == 0 }
}

/// The user that the kernel takes us for.
pub fn effective_uid() -> u32 {
    // SAFETY: takes nothing, touches no memory of ours, and cannot fail.
    unsafe { libc::geteuid() }
}

/// Takes no privileges from files that are run, in this thread and those that it starts (`PR_SET_NO_NEW_PRIVS`).
///
/// # Errors
/// The kernel's.
pub fn refuse_new_privileges() -> io::Result<()> {
    let (on, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: PR_SET_NO_NEW_PRIVS takes integers only and touches no memory of ours.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, on, unused, unused, unused) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One address of an interface, as it is configured now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceAddress {
    /// Name of the interface.
    pub interface: Vec<u8>,
    /// It is a loopback interface.
    pub loopback: bool,
    /// The address.
    pub address: IpAddr,
    /// Its subnet.
    pub subnet: Prefix,
}

/// All addresses of all interfaces.
///
/// # Errors
/// The kernel's.
pub fn interface_addresses() -> io::Result<Vec<InterfaceAddress>> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: on success the call stores the head of a list that stays ours until `freeifaddrs`.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut addresses = Vec::new();
    let mut next: *const libc::ifaddrs = first;
    // SAFETY: `next` is null or an entry of the list, which is not freed before the loop has ended.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        // SAFETY: both pointers are null or those of `entry`, valid as long as it.
        let (address, mask) = unsafe { (sockaddr_ip(entry.ifa_addr), sockaddr_ip(entry.ifa_netmask)) };
        let (Some(address), Some(mask)) = (address, mask) else { continue };
        let len = match mask {
            IpAddr::V4(mask) => mask.to_bits().leading_ones(),
            IpAddr::V6(mask) => mask.to_bits().leading_ones(),
        };
        let Ok(subnet) = Prefix::new(address, len as u8) else { continue };
        // SAFETY: the name is a string that ends with a zero octet and lives as long as the entry.
        let interface = unsafe { CStr::from_ptr(entry.ifa_name) }.to_bytes().to_vec();
        let loopback = entry.ifa_flags & libc::IFF_LOOPBACK as u32 != 0;
        addresses.push(InterfaceAddress { interface, loopback, address, subnet });
    }
    // SAFETY: `first` is the list that `getifaddrs` made, freed once, and nothing refers to it any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(addresses)
}

/// Microseconds of the kernel's monotonic clock, which other processes of this machine read as we do; 0 where it cannot be
/// read, which Linux does not know.
pub fn monotonic_micros() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a live timespec that the kernel writes.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or_default() * 1_000_000 + nanos.unwrap_or_default() / 1000
}

/// The IP address in a socket address; `None` for a null pointer and for other families.
///
/// # Safety
/// `pointer` is null or points to a socket address that is as long as its family says.
unsafe fn sockaddr_ip(pointer: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: not null, and every socket address begins with its family.
    let family = unsafe { pointer.as_ref() }?.sa_family;
    match c_int::from(family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a `sockaddr_in`; it need not be aligned for that.
            let address = unsafe { pointer.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: likewise a `sockaddr_in6`.
            let address = unsafe { pointer.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}
