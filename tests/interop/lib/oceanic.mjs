// A member of a room on Oceanic. Its voice is @discordjs/voice, joined through its client and guild, and told of the
// application's answers by its handlers of main gateway events; the shard stands for that gateway.
