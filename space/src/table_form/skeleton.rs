//! Finds the skeleton of the networks that a published table was measured on, from the names of its rows.

use super::TableForm;
use crate::{SearchSpace, Skeleton, SpaceError, Stem, find_skeleton};

/// The first convolution, as its row's name describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct First {
    hw_in: u16,
    hw_out: u16,
    c_out: u32,
}

impl TableForm {
    /// The size of the image, if the row's name tells it; only that of the first convolution does.
    pub fn image_size(name: &str) -> Option<u16> {
        first(name).map(|first| first.hw_in)
    }

    /// The skeleton of the networks that these rows belong to. Channels, resolution and stem follow from the first convolution,
    /// classes from the classifier. If the image's size is searched, the resolution is the space's own if it has all the sizes,
    /// else the largest. Without a row for the first convolution the paper's network is assumed.
    ///
    /// # Errors
    /// [`SpaceError::Skeleton`] if the space cannot be built with this skeleton.
    pub fn skeleton<'a>(
        space: &dyn SearchSpace,
        names: &(impl Iterator<Item = &'a str> + Clone),
    ) -> Result<Skeleton, SpaceError> {
        let firsts: Vec<First> = names.clone().filter_map(first).collect();
        let own = find_skeleton(space, "imagenet")?;
        let Some(&largest) = firsts.iter().max_by_key(|first| first.hw_in) else { return Ok(own) };
        let of = |resolution| Skeleton {
            channels: largest.c_out,
            resolution,
            classes: names.clone().find_map(classes).unwrap_or(own.classes),
            stem: if largest.hw_in == largest.hw_out { Stem::Cifar } else { Stem::ImageNet },
            ..own
        };
        let has_all = |skeleton: &Skeleton| {
            let sizes = space.graph(skeleton).image_sizes();
            sizes.len() > 1
                && firsts.iter().all(|first| sizes.iter().any(|(_, size)| *size == first.hw_in))
        };
        let skeleton = Some(of(own.resolution))
            .filter(|skeleton| space.check_skeleton(skeleton).is_ok() && has_all(skeleton))
            .unwrap_or_else(|| of(largest.hw_in));
        space.check_skeleton(&skeleton).map(|()| skeleton)
    }
}

/// Reads the name of the first convolution's row, whose input is the image.
fn first(name: &str) -> Option<First> {
    if let Some(shapes) = name.strip_prefix("Conv-input:") {
        let (from, to) = shapes.split_once("-output:")?;
        let ([hw_in, 3], [hw_out, c_out]) = (shape(from)?, shape(to)?) else { return None };
        return Some(First { hw_in: narrow(hw_in)?, hw_out: narrow(hw_out)?, c_out });
    }
    let fields = name.strip_prefix("ConvNorm_")?;
    let field = |what: &str| -> Option<u32> {
        fields.split('_').find_map(|field| field.strip_prefix(what)?.parse().ok())
    };
    if field("Cin")? != 3 {
        return None;
    }
    let hw_in = narrow(field("H")?)?;
    let stride = narrow(field("stride")?).filter(|stride| *stride > 0)?;
    Some(First { hw_in, hw_out: hw_in.div_ceil(stride), c_out: field("Cout")? })
}

fn narrow(pixels: u32) -> Option<u16> {
    u16::try_from(pixels).ok()
}

/// `112x112x32`: pixels and channels.
fn shape(text: &str) -> Option<[u32; 2]> {
    let numbers: Vec<u32> = text.split('x').map(str::parse).collect::<Result<_, _>>().ok()?;
    match numbers[..] {
        [h, w, c] if h == w => Some([h, c]),
        _ => None,
    }
}

/// The number of classes that the classifier's row tells.
fn classes(name: &str) -> Option<u32> {
    let behind = match name.strip_prefix("Logits-") {
        Some(rest) => rest.split_once("-output:")?.1,
        None => name.strip_prefix("FC_Cin")?.split_once("_Cout")?.1,
    };
    behind.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find_space;

    #[test]
    fn rows_tell_the_skeleton() {
        let of = |id: &str, names: &[&str]| {
            let space = find_space(id).unwrap();
            TableForm::skeleton(space.as_ref(), &names.iter().copied()).map_err(|e| e.to_string())
        };
        let stem = "Conv-input:160x160x3-output:80x80x24";
        let logits = "Logits-input:1x1x1536-output:1000";
        let found = of("ofa-w12", &[stem, logits]).unwrap();
        let imagenet = find_skeleton(find_space("ofa-w12").unwrap().as_ref(), "imagenet").unwrap();
        assert_eq!(found, imagenet);
        // A size that the official training does not draw becomes the skeleton's own.
        let odd = "Conv-input:236x236x3-output:118x118x24";
        assert_eq!(of("ofa-w12", &[odd]).unwrap().resolution, 236);
        let proxyless = of(
            "proxyless",
            &["Conv-input:160x160x3-output:80x80x32", "Logits-input:5x5x1280-output:7"],
        );
        let Skeleton { channels, resolution, classes, .. } = proxyless.unwrap();
        assert_eq!((channels, resolution, classes), (32, 160, 7));
        let cifar = "ConvNorm_H32_W32_Cin3_Cout16_kernel3_stride1_group1";
        let found = of("fbnet-hwnas", &[cifar, "FC_Cin1504_Cout100"]);
        let found = found.unwrap();
        assert_eq!((found.stem, found.resolution, found.classes), (Stem::Cifar, 32, 100));
        assert_eq!(of("ofa-w12", &[logits]).unwrap(), imagenet);
        let wide = "Conv-input:224x224x3-output:112x112x999";
        assert!(of("ofa", &[wide]).unwrap_err().contains("channels"));
    }
}
