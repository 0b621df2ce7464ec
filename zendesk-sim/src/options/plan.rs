//! Plans and the limits that come with them (Z§6).

/// A plan, which is to say a set of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// 10 requests a minute.
    Essential,
    /// 200.
    Team,
    /// 400.
    Growth,
    /// 400.
    Professional,
    /// 700.
    Enterprise,
    /// 2500; whether the add-on's 30 exports come with it is not told plainly, so the smaller number holds.
    EnterprisePlus,
    /// A plan with the high-volume add-on: 2500, and 30 exports.
    HighVolume,
}

impl Plan {
    /// Requests per minute for the whole account.
    pub fn requests(self) -> u32 {
        match self {
            Self::Essential => 10,
            Self::Team => 200,
            Self::Growth | Self::Professional => 400,
            Self::Enterprise => 700,
            Self::EnterprisePlus | Self::HighVolume => 2500,
        }
    }

    /// Incremental export requests per minute for the whole account.
    pub fn exports(self) -> u32 {
        if self == Self::HighVolume { 30 } else { 10 }
    }
}

impl std::str::FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "essential" => Ok(Self::Essential),
            "team" => Ok(Self::Team),
            "growth" => Ok(Self::Growth),
            "professional" => Ok(Self::Professional),
            "enterprise" => Ok(Self::Enterprise),
            "enterprise-plus" => Ok(Self::EnterprisePlus),
            "high-volume" => Ok(Self::HighVolume),
            _ => Err(format!("no plan is called {text}")),
        }
    }
}
