//! waiting-room
