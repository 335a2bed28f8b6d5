//! Detection, told as stories: neighbours announce and withdraw, and what stands is seen at each step. Time is virtual.

mod events;
mod numbers;
mod one_alert;
mod origin;
mod otc;
mod paths;
mod restart;
mod rpki;
mod scenes;
mod sessions;
mod tower;
mod visibility;
