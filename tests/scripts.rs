//! Interaction scripts: prose first, then commands, then the machine's own words. See `scripts/README.md`.

mod scripts {
    mod bully;
    mod driver;
    mod raft;
    mod toy;

    #[test]
    fn bully() {
        driver::walk::<bully::Bully>("bully");
    }

    #[test]
    fn raft() {
        driver::walk::<raft::Raft>("raft");
    }

    #[test]
    fn toy() {
        driver::walk::<toy::Toy>("toy");
    }
}
