use bson::doc;

use super::*;
