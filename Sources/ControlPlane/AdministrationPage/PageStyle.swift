extension AdministrationPage {
    static let style = #"""
        :root { color-scheme: light dark; --line: #8884; --accent: #0b5cad; --bad: #b3261e; }
        @media (prefers-color-scheme: dark) { :root { --accent: #7cb7ff; --bad: #ff8a80; } }
        * { box-sizing: border-box; }
        body { margin: 0 auto; max-width: 76rem; padding: 0 1rem 3rem; font: 1rem/1.5 system-ui, sans-serif; }
        header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 1rem; border-bottom: 1px solid var(--line); }
        h1 { font-size: 1.25rem; }
        h2 { font-size: 1.15rem; }
        [hidden] { display: none !important; }
        nav button[aria-current] { font-weight: bold; text-decoration: underline; }
        button, input { font: inherit; padding: .3rem .6rem; }
        :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
        .fields { display: grid; gap: .35rem; max-width: 34rem; }
        .search { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
        fieldset { border: 1px solid var(--line); display: flex; flex-wrap: wrap; gap: 1rem; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
        caption { position: absolute; clip-path: inset(50%); }
        th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
        td { min-width: 5rem; }
        td.number { text-align: right; font-variant-numeric: tabular-nums; }
        #secret { border: 2px solid var(--accent); padding: 0 1rem; }
        #secret-value { font-family: ui-monospace, monospace; overflow-wrap: anywhere; user-select: all; }
        #error:not(:empty) { color: var(--bad); border-left: 4px solid var(--bad); padding-left: .6rem; }
        .field-error { color: var(--bad); border-left: 4px solid var(--bad); padding-left: .6rem; margin: 0 0 .35rem; }
        [aria-invalid] { outline: 2px solid var(--bad); }
        .soon { color: var(--bad); }
        dl { display: flex; flex-wrap: wrap; gap: 1.5rem; }
        dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }

        """#
}
