//! Which processor computes.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

/// `model.local.device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DeviceChoice {
    /// A graphics processor if one is built in and there, else the processor.
    #[default]
    Auto,
    Cpu,
    Cuda,
    Metal,
}

/// Why a device can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error(
        "model.local.device is {wanted}, but this program was built without it; build it with `--features {wanted}`, \
         or set auto or cpu"
    )]
    NotBuiltIn { wanted: DeviceChoice },
    #[error("model.local.device is {wanted}, but the device can't be used; check its driver, or set auto or cpu")]
    NotUsable {
        wanted: DeviceChoice,
        #[source]
        source: Box<candle_core::Error>,
    },
}

impl DeviceChoice {
    /// The device itself.
    ///
    /// # Errors
    /// A device that was named is not built in or not there; [`Self::Auto`] always finds the processor.
    pub(crate) fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda | Self::Metal => self.graphics(),
            Self::Auto => {
                let built_in = [Self::Cuda, Self::Metal].into_iter().find(|device| device.is_built_in());
                let found = built_in.map(Self::graphics);
                if let Some(Err(error)) = &found {
                    tracing::warn!(
                        error = error as &dyn std::error::Error,
                        "no graphics processor; using the processor"
                    );
                }
                Ok(found.and_then(Result::ok).unwrap_or(Device::Cpu))
            }
        }
    }

    fn graphics(self) -> Result<Device, DeviceError> {
        if !self.is_built_in() {
            return Err(DeviceError::NotBuiltIn { wanted: self });
        }
        let device = if self == Self::Metal { Device::new_metal(0) } else { Device::new_cuda(0) };
        device.map_err(|source| DeviceError::NotUsable { wanted: self, source: Box::new(source) })
    }

    fn is_built_in(self) -> bool {
        match self {
            Self::Auto | Self::Cpu => true,
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Metal => cfg!(feature = "metal"),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not the name of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of auto, cpu, cuda, metal")]
pub struct NoSuchDevice;

impl FromStr for DeviceChoice {
    type Err = NoSuchDevice;

    fn from_str(text: &str) -> Result<Self, NoSuchDevice> {
        let all = [Self::Auto, Self::Cpu, Self::Cuda, Self::Metal];
        all.into_iter().find(|device| device.as_str() == text).ok_or(NoSuchDevice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for device in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda, DeviceChoice::Metal] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("gpu".parse::<DeviceChoice>(), Err(NoSuchDevice));
    }

    #[test]
    fn the_processor_is_always_there() {
        assert!(matches!(DeviceChoice::Cpu.open(), Ok(Device::Cpu)));
        assert!(DeviceChoice::Auto.open().is_ok());
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_device_that_is_not_built_in_is_refused_with_how_to_build_it() {
        let refusal = DeviceChoice::Cuda.open().expect_err("it is not built in").to_string();
        assert!(refusal.contains("--features cuda"), "{refusal}");
    }
}
