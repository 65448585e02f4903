//! Which drivers run XDP themselves, for kernels that do not tell by themselves
//! (before 6.3): those with `XDP_SETUP_PROG` in Linux 6.1, which is the floor.
//! Names are those that `ethtool -i` shows.

/// Sorted.
const NATIVE: &[&str] = &[
    "atlantic",
    "bnxt_en",
    "bonding",
    "cpsw",
    "ena",
    "fsl_dpa",
    "fsl_dpaa2_eth",
    "fsl_enetc",
    "fsl_enetc_vf",
    "funeth",
    "hv_netvsc",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mana",
    "mlx4_en",
    "mlx5_core",
    "mlx5e_rep",
    "mtk_soc_eth",
    "mvneta",
    "mvpp2",
    "netdevsim",
    "netsec",
    "nfp",
    "nicvf",
    "qede",
    "rvu_nicpf",
    "rvu_nicvf",
    "sfc",
    "st_gmac",
    "tun",
    "veth",
    "vif",
    "virtio_net",
];

/// Whether a driver runs XDP itself in Linux 6.1.
pub(super) fn is_native(driver: &str) -> bool {
    NATIVE.binary_search(&driver).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_knows_the_usual_ones() {
        assert!(NATIVE.is_sorted());
        for (driver, native) in [
            ("virtio_net", true),
            ("ixgbe", true),
            ("e1000e", false),
            ("r8169", false),
            ("tg3", false),
        ] {
            assert_eq!(is_native(driver), native, "{driver}");
        }
    }
}
