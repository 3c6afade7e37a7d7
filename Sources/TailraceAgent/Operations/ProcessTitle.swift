import Glibc

/// What others see of this process's command line (`ps`, `/proc/PID/cmdline`).
package enum ProcessTitle {
    /// Blanks the values of these options where they lie. Call it first of all, after `CommandLine.arguments` was asked
    /// for, which keeps them for the program itself.
    ///
    /// - Parameter options: such as "--connection-string"; both `--option value` and `--option=value` are found.
    package static func hide(_ options: [String]) {
        _ = CommandLine.arguments.count
        let values = CommandLine.unsafeArgv
        var isValue = false
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = values[index] else { continue }
            if isValue {
                blank(argument)
                isValue = false
                continue
            }
            for option in options {
                let length = option.utf8.count
                guard strncmp(argument, option, length) == 0 else { continue }
                if argument[length] == 0 {
                    isValue = true
                } else if argument[length] == 0x3D {
                    blank(argument + length + 1)
                }
            }
        }
    }

    private static func blank(_ text: UnsafeMutablePointer<CChar>) {
        for index in 0..<strlen(text) { text[index] = 0x2A }
    }
}
