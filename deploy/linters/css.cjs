// Checks style sheets by the grammar of CSS: what a browser would skip without a word is an error.
//
//   node css.cjs FILE...

'use strict'

const { readFileSync } = require('fs')
const csstree = require('css-tree')

let faults = 0

function fault(file, start, message) {
  faults += 1
  console.error(`${file}:${start.line}:${start.column}: ${message}`)
}

for (const file of process.argv.slice(2)) {
  const sheet = csstree.parse(readFileSync(file, 'utf8'), {
    positions: true,
    parseCustomProperty: true,
    onParseError: error => fault(file, error, error.message),
  })
  const defined = new Set()
  const used = []
  csstree.walk(sheet, node => {
    if (node.type === 'Declaration') {
      if (node.property.startsWith('--')) return defined.add(node.property)
      const { error } = csstree.lexer.matchDeclaration(node)
      // A value that is put together from variables cannot be judged here.
      const hasVariable = csstree.find(node.value, part => part.type === 'Function' && part.name === 'var')
      if (error && !hasVariable) fault(file, node.loc.start, `${node.property}: ${error.message.split('\n')[0]}`)
    }
    if (node.type === 'Function' && node.name === 'var') used.push(node)
  })
  for (const node of used) {
    const name = node.children.first.name
    if (!defined.has(name)) fault(file, node.loc.start, `var(${name}): there is no such variable`)
  }
}
process.exitCode = faults ? 1 : 0
