//! Tables of what `[policy]` may say and how its faults are told.
