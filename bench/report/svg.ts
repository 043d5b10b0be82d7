export const ourColour = '#c2410c'
export const theirColour = '#64748b'

/** A drawing with its title above, readable on light and dark pages. */
export function drawing(title: string, width: number, height: number, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">
  <title>${escaped(title)}</title>
  <rect width="${width}" height="${height}" fill="#ffffff"/>
  <g font-family="system-ui, sans-serif" font-size="14" fill="#1e293b">
  <text x="10" y="24" font-size="13">${escaped(title)}</text>
${parts.join('\n')}
  </g>
</svg>
`
}

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
