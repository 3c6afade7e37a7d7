import ArgumentParser

struct CommonOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The configuration file.", valueName: "file"))
    var config = "/etc/tailrace/tailrace.toml"
}
