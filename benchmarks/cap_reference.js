// Validates the solutions of one Cap challenge in node: by the package @cap.js/server, and written out plainly.
//
// The first line of standard input holds the challenge (token, puzzles, saltLength, difficulty, solutions) and the
// folder of the package; each further line names a variant and how often to run it. Answers are seconds of CPU time
// for one validation, all threads of the process together.

const { createHash } = require("node:crypto")
const { createInterface } = require("node:readline")

const hashed = (text, state = 0x811c9dc5) => {
  for (let at = 0; at < text.length; at++) state = Math.imul(state ^ text.charCodeAt(at), 0x01000193)
  return state
}

const digits = (state, length) => {
  let text = ""
  while (text.length < length) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    text += (state >>> 0).toString(16).padStart(8, "0")
  }
  return text.slice(0, length)
}

const plainly = ({ token, puzzles, saltLength, difficulty, solutions }) => {
  const start = hashed(token)
  for (let number = 1; number <= puzzles; number++) {
    const seed = hashed(String(number), start)
    const target = digits(hashed("d", seed), difficulty)
    const digest = createHash("sha256").update(digits(seed, saltLength) + solutions[number - 1]).digest("hex")
    if (!digest.startsWith(target)) return false
  }
  return true
}

const byPackage = (challenge, folder) => {
  const cap = new (require(folder))({ noFSState: true, disableAutoCleanup: true })
  const { token, puzzles: c, saltLength: s, difficulty: d, solutions } = challenge
  return async () => {
    cap.config.state.challengesList[token] = { expires: Date.now() + 60_000, challenge: { c, s, d } }
    const { success } = await cap.redeemChallenge({ token, solutions })
    return success
  }
}

const main = async () => {
  let variants
  for await (const line of createInterface({ input: process.stdin })) {
    if (!variants) {
      const { folder, ...challenge } = JSON.parse(line)
      variants = { plain: async () => plainly(challenge), package: byPackage(challenge, folder) }
      continue
    }
    const [name, times] = line.split(" ")
    const before = process.cpuUsage()
    for (let done = 0; done < Number(times); done++)
      if (!(await variants[name]())) throw new Error("a right solution was refused")
    const { user, system } = process.cpuUsage(before)
    console.log((user + system) / 1e6 / Number(times))
  }
  process.exit(0)
}

main()
