//! scratch
#[path = "../tests/common/mod.rs"]
mod common;
fn main() {
    let dir = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    common::record_day(&dir.join("source"), 864_000, 100_000_000);
    common::run_day(&dir.join("source"), &dir.join("journal"));
    let o = onetape_analytics::ExportOptions::new(&dir.join("journal"), &dir.join("export"));
    let t = std::time::Instant::now();
    let r = onetape_analytics::export(&o, &mut |_| {}).unwrap();
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    eprintln!("{} frames {:?} {}", r.frames, t.elapsed(), s.lines().find(|l| l.starts_with("VmHWM")).unwrap());
    common::every_kind(&dir.join("every"));
    onetape_analytics::export(&onetape_analytics::ExportOptions::new(&dir.join("every"), &dir.join("every-export")), &mut |_| {}).unwrap();
}
