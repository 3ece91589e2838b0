//! What makes one clone differ from the next, as far as it is text: templates with a machine's own values, and the table
//! that some of them come from.

pub mod hostname;
pub mod hosts;
pub mod template;
