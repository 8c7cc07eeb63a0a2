"""Support tickets, each written by hand and used once. One line is one ticket.

category
  delivery  goods on their way to the customer, and their packaging: when, where, how, in what state they come
  returns   goods on their way back, exchanges, and the money for goods sent back
  repair    a bike or an accessory is broken, worn or noisy; how to fit, service and care for it
  billing   prices, invoices, charges, payments, instalments, vouchers
  account   login, password, personal data, newsletter, app and profile

priority
  high      danger or injury; a stranger misuses money, goods or data; the customer is stranded or
            blocked right now; or something must happen within two days
  low       nothing has to be put right: a question, praise, a suggestion, a blemish, or "no hurry"
  normal    everything else: we have to act, but there is neither danger nor a close deadline
"""


def lines(text):
    return [line.strip() for line in text.strip().splitlines()]


TRAIN = {
    ("delivery", "high"): lines("""
        My daughter's birthday is tomorrow and the kids bike still shows "label created". Is there any way to get it here in time??
        The driver is standing in front of my old address right now with a 25 kg carton. New address is Elm Row 9, call him please!
        Tracking says delivered, but my neighbour just saw a stranger drive off with the carton. Please do something.
        We leave for a cycling holiday at six in the morning and the panniers you promised for today are not here.
        Your haulier left the bike carton across the fire exit of our kindergarten, children are climbing over it. Remove it now.
        the box arived ripped open and the battery inside is hot and smells of chemicals, i put it on the balcony. what do i do
        Nice courier, but he dropped our cargo bike on my foot. I am in the emergency room and the bike is lying on the pavement.
        I am on crutches and the pickup shop sends my adult trike back to you tonight. I need it brought to my door today.
        Order 20418: the pallet is blocking the ambulance bay of our clinic since an hour. Nobody at the freight firm answers.
        Somebody rerouted my parcel to a locker in a town I have never been to. That was not me, stop it please.
        I start my job as a bike messenger on Thursday, today is Wednesday, and the bike has not left your warehouse.
        Customs will destroy my helmet order unless they get your paper before noon tomorrow.
        """),
    ("delivery", "normal"): lines("""
        My Wren was meant to come last Tuesday. The tracking page has not moved for six days. Where is it?
        I unpacked my order today: one pedal. A bike needs two. Please post the other one.
        I received a blue helmet in L, I had ordered a black one in M. Order 11872.
        Hello, the carton came today but the front light listed on the packing slip is not in it.
        The parcel went back to you because the driver could not find my bell. Please send it again.
        third time i write about this. first i was told two weeks, then the frame was out of stock, then the lady on the phone said it had left the day before. it had not. nobody tells me when the heron will be shipped and the order is from five weeks ago
        The tracking number in your mail belongs to a parcel for someone in Spain. Could you give me the right one?
        I moved last week. Please change the shipping address of order 30566, it should go out later this month.
        One side of the box was crushed and the rear mudguard is bent. I have taken pictures.
        Two of the three parcels of my order are here. The third one is marked "lost" by the carrier.
        Freight company gave me a slot for next Friday but I work that day, I need a different one.
        According to the mail the saddle was handed to "J. Brook". There is no J. Brook in our house, and I have no saddle.
        """),
    ("delivery", "low"): lines("""
        I usually write to companies only to complain, so here is something else. It was pouring, our lift was out of order, and your driver carried the carton up four flights of stairs without a word of grumbling.
        Do you plan to ship to Iceland one day? I only ask because a friend lives there.
        No rush at all, but when the bell is back in stock you may send it along with my next order.
        I wonder what the little leaf on your cartons stands for.
        It would be nice if the tracking page had a dark mode.
        The helmet came today, two days early. Impressive, keep it up.
        Small thing: the delivery mail says "you parcel" instead of "your parcel".
        We may order a cargo bike next spring. Roughly how large is the carton, so that I can picture it in our hall?
        out of curiosity, do your vans run on electricity?
        The outer box had a scuff, everything inside is perfect. I mention it only for your statistics.
        Idea for you: let people choose a parcel locker on the checkout page.
        Is the tape on the boxes recyclable? My son asked for a school project, any time this month is fine.
        """),
    ("returns", "high"): lines("""
        I fly home tomorrow at noon and nobody has collected the rental return yet. The bike cannot stay in the hotel.
        No hurry with my money, but the child seat that I am sending back has a buckle that opens by itself. My son fell out this morning.
        Someone used my name to send a stolen bike back to you and have the money paid to him. Please block the refund!
        My return label runs out tonight and the post office says the code is invalid. I need a new one today.
        The battery I am to post back is swollen and warm. I will not carry it to any post office, tell me now what to do with it.
        A man has come for the bike I am giving back, demands 200 in cash and will not leave. Is he really yours?
        Last day of my return period is tomorrow and the form on your site crashes each time i press send
        You refunded my return to a bank account that is not mine. I have just seen the money leave again, please stop it.
        The returned trailer axle broke while I rolled it to the post office and cut my hand badly. Do not let anyone ride these.
        We are moving abroad tomorrow morning. If the bike is not fetched today, I have to leave it in the street.
        Customs at the border hold me and the bike, they want proof that it goes back to you. Please mail it at once.
        The shop closes for good on Friday, that is tomorrow, and the crate of unsold bikes that should go back to you is still in my storeroom.
        """),
    ("returns", "normal"): lines("""
        Sat on the bike for the first time tonight, and the frame is a size too big. I would like to swap it for an M.
        As of today it is nine days since I sent the helmet back. Have you received it?
        How do I return the rack? It does not fit the eyelets of my bike. Order 41093.
        You refunded only the saddle, but I had sent back a saddle and a seat post.
        pls send me a return label, the printer ate the one from the box
        The jacket is the wrong colour. I want to exchange it for the grey one.
        My parcel came back to me with "addressee refused" on it. Why did you refuse my return?
        I have changed my mind about the trailer. It is still unopened, and I would like to give it back.
        The driver was to collect the bike on Monday and never came. Please arrange another day.
        Your portal says my return is "incomplete", but I put everything back in the carton, even the plastic bags.
        I sent back a pair of lights at the start of last month because they do not fit a thick handlebar. I have asked twice for my money since then, and both times I got an automatic reply with a link to a page on how to return lights. That part I have managed already.
        The exchange saddle you sent has the same tear as the first one, so I'd like my money back instead.
        """),
    ("returns", "low"): lines("""
        I am only thinking about a Heron. Should I buy it, is giving it back as simple as your leaflet makes it sound?
        Your colleague handled my exchange today in such a friendly way that I had to write.
        The return went through fine. One suggestion: put the form into the box so nobody has to print it.
        What do you do with the bikes that people send back, do they get a second life?
        There's a spelling mistake on the return label, it says "Larkpsur". Made me smile.
        I might return a bottle cage some time this summer. There is no need to answer quickly.
        Just curious how many people keep their bikes. My colleagues and I have a bet on it.
        My refund arrived sooner than you said. Well done to the team.
        the returns page uses a really tiny font, older people like me would be glad about a bigger one
        For next year's budget: do schools get special terms for sending goods back? We have not ordered anything yet.
        The swap bike has a slightly different shade of green. I like it, no action needed.
        Would it be possible in future to drop returns at partner workshops? Only an idea.
        """),
    ("repair", "high"): lines("""
        Thanks for the lovely bike. One remark: the front brake did nothing on the way down to school, I stopped by steering into a hedge. Kids were in the box.
        There is smoke coming from the charger socket, I pulled the plug. Is the house safe??
        The fork snapped under me this morning and I broke two teeth. I still have all the parts.
        I'm stuck at a lay-by 30 km from home, the motor locked the rear wheel and it is getting dark.
        We run a small care service, and our nurse visits patients with your e-bike. Yesterday it still ran, this morning there is no sign of life: no display, no light, no motor. We tried the second battery and the spare key. Her round begins in an hour, and two of the patients need insulin.
        the stem clamp has a crack you can put a fingernail in. wife rides to work with the baby on it, can she ride tommorow?
        I race on Saturday, it is Thursday evening, and your workshop has mounted the wrong hub.
        The battery hisses when charging and has melted a hole into the shelf.
        Steering jams at full lock. My father went over the handlebar and is in hospital with a broken collarbone.
        The kickstand of the Heron gave way with two toddlers on the bench. They are bruised, and I dare not use it again.
        A man who says he is your mechanic took my bike "for repair" and your workshop knows nothing of him.
        Motor keeps pushing after I stop pedalling, shot me into a crossing today. How do I turn it off for good?
        """),
    ("repair", "normal"): lines("""
        My rear wheel has a wobble since the last ride, could you book me into a workshop?
        URGENT!!! The display stays black although the battery is full. Bike is eight months old.
        Today once more the chain came off as I shifted into the smallest sprocket.
        Both grips have come loose and turn in my hands when I go uphill. I would like new ones under warranty.
        I hear a grinding noise from the bottom bracket in wet weather. It has been like this for weeks.
        pannier rack lost a screw and now rattles like mad, which size do i need and can you send one
        Your workshop serviced the bike but did not change the brake pads that are on the bill. They should look at it again.
        The lock of the battery case jams, so I can only take the battery out with pliers.
        Range has dropped from 70 to about 30 kilometres. Could somebody test the battery?
        My gears slip under load. I followed the video on your page, it did not help.
        A spoke broke. I can still ride gently, yet it should be replaced before more of them go.
        I handed in my bike for service on the 3rd and have heard nothing from the workshop since.
        """),
    ("repair", "low"): lines("""
        The workshop in Mill Lane did a wonderful job on my old Wren. Please pass on my thanks.
        There is a tiny scratch in the paint of the rack. It does not bother me, I only note it.
        How often do people usually oil a hub gear? Asking before I buy one.
        Would you consider a video about cleaning the chain? I would watch it.
        My bell sounds a little different from my wife's bell. Is that on purpose?
        Some day I want to fit a dynamo, maybe next winter. Is that possible at all?
        just saying hi, reached 4000 km today without a single flat. great tyres!
        The sticker on the top tube is peeling at one corner, purely cosmetic, whenever you have a spare one lying around.
        I noticed that the manual shows the left pedal as the right one on page 12. You may wish to correct it.
        Which touch-up paint comes closest to the colour of my frame? No hurry.
        Do your mechanics prefer hex or star screws? We discuss this in our bike club.
        For my notes: does the first check include truing the wheels? It is only due in autumn.
        """),
    ("billing", "high"): lines("""
        I wonder about four payments to Larkspur on my card that I never made. New ones keep coming in while I write.
        The debt collector you hired will be at my door tomorrow at nine, for a bill that I paid in May. Call them off!
        An e-mail from "Larkspur Finance" made me enter my bank PIN. I think I have been robbed, please freeze everything.
        my rent bounces tomorrow becuase you took the price of the bike twice. i need that money back today
        The accountant files our tax return tonight and your invoice lacks the VAT number.
        Someone redeemed my gift voucher this minute. I got the mail about it, the order is not mine, stop the shipment.
        Court deadline is tomorrow: I need written proof today that invoice 5571 was settled.
        Your terminal printed the full card number of the customer before me on my receipt. There may be more of these.
        Salaries go out tomorrow and you have debited 11,000 instead of 1,100 from our company. Our account is blocked.
        A man called who knew my name, my order number and the colour of my bike. He said that your bank had changed and that I should move the remaining instalments to a new account, which I have just done. Only afterwards I read that you never call about payments. Was that you?
        The leasing offer ends today at midnight, and your payment page shows only an error.
        I am at the till of the partner workshop, they won't hand me the bike because you list my bill as unpaid. I have to get to work.
        """),
    ("billing", "normal"): lines("""
        What a scandal! I was charged twice for order 20931. I demand one of the two amounts back.
        The invoice shows my maiden name. I need a corrected one for my employer, by the end of next month.
        Tried my voucher today and the code is refused as "unknown", although I bought it only last week.
        When I ordered, I ticked doorstep assembly and then took it out of the basket again, I have the screenshot. No mechanic came, my brother and I put the bike together ourselves on a Sunday. All the same it stands on the bill.
        Could I have a copy of the invoice from March? I cannot find it anywhere.
        the student discount wasnt taken off, i had uploaded my card beforehand
        I transferred the money eight days ago and the order still says "waiting for payment".
        Please change my instalments to the new bank account. The next one is due in three weeks.
        This is the LAST time I write! Your reminder wants 14 euros in late fees, yet I paid before the due date. See the slip attached.
        Invoice 8812 has a delivery charge on it. Bikes are meant to be delivered free.
        We are a school and need the bill split between two cost centres.
        I cancelled the insurance in spring but the premium still leaves my account every month.
        """),
    ("billing", "low"): lines("""
        Is it true that from tomorrow on one can pay by watch? A man in the shop mentioned it. I'll stay with my card anyway.
        The new invoice layout is so much clearer. Compliments to whoever made it.
        I am comparing prices for next season. Do your prices usually change in spring?
        There's a double space before the sum on your invoices, in case your designer cares.
        Do you have a favourite charity that rounding up could go to? A suggestion for the checkout.
        What happens to vouchers that nobody ever spends? I am just interested.
        no hurry: at some point i'd like my invoices as one yearly file for my folder
        Thank you for sorting out my double payment so fast last week. All is well now.
        Why are prices on your page shown with VAT? My American cousin was puzzled.
        It would be handy to see the remaining instalments as a little chart.
        I collect old gift cards. Which designs have you had over the years?
        Might there be a discount for clubs in the future? We are not buying before next year anyway.
        """),
    ("account", "high"): lines("""
        Somebody changed the e-mail of my account an hour ago and is ordering bikes with my saved card.
        Just curious: is it meant to be like this that I see the addresses and orders of other customers when I log in?
        My ex-husband got my new address out of your system. He is violent. Hide my data immediately, please.
        i cant log in and the order has to be cancelled before you pack it in twenty minutes
        My phone with your app was stolen on the train, the thief can unlock my bike with it. It is parked outside.
        A link in your reset mail led to a page that installed something, now all my passwords are being changed.
        Your newsletter went out with all 300 addresses in the open, including those of our patients.
        The warranty portal locks me out, and the deadline for the recall form is today.
        Someone is posting reviews with my full name and phone number from a profile I never made. I get threatening calls.
        I am in the garage, the app says "session expired", and without it the bike stays locked. My shift starts in half an hour.
        My twelve-year-old has been contacted through her rider profile by a grown man who wants to meet her tonight.
        Fraud alert from my bank: my login with you was used from three countries this morning.
        """),
    ("account", "normal"): lines("""
        Is your reset link broken now? It never arrives, not even in the spam folder.
        Please delete the second account that I opened by mistake, the one with the work address.
        My surname is misspelled in the profile and the field is greyed out.
        Stop it, stop it, stop it! I unsubscribed from the newsletter twice and still get it every month.
        locked out after too many tries, customer number is 77120, please open it again
        Since I changed my e-mail this morning two orders are missing from my order page.
        The app does not pair with my display any more since I got a new phone.
        I would like a copy of all the data you hold about me, as the law allows.
        Verification code comes by text to my old number. How do we change it?
        We moved into a new flat in spring, and your site somehow knows the previous tenant. Her name is the default in my address book, it cannot be removed, and each time I have to remember to pick ours. Can you take it out?
        Our company account needs a new administrator, Ms Okafor has left the firm.
        Your site logs me out each time I open the basket, in two different browsers.
        """),
    ("account", "low"): lines("""
        What is the oldest customer account you have? I joined in your first year and wondered.
        Saw the new profile page tonight, it looks great.
        Could you add a field for a nickname some day? Not important.
        Where was the picture on the login page taken? It is beautiful.
        I'd enjoy the newsletter even more with a puzzle in it.
        Typo on the settings page, seen right now: "recieve".
        do you have a loyalty scheme or is one planned? just wondering
        My partner and I share nearly everything, the garage, the pump and soon a cargo bike. Before I sign up: can two people share one profile as well, or does each of us need one? We order in summer at the earliest, so take your time.
        The welcome mail was charming. Tell the writer.
        I would like to change my username to something more grown-up, whenever it suits you.
        My profile picture appears slightly squashed on the tablet. It's not a problem.
        Who came up with the little bicycle in your log-in button? Pure curiosity.
        """),
}

DEV = {
    ("delivery", "high"): lines("""
        The wedding is tomorrow and the tandem for the couple is still in your depot. I can fetch it myself tonight if you let me.
        A driver of yours hit my parked car with the pallet and has driven off, oil is running into the street.
        Parcel was handed to somebody who showed a false ID in my name. He is on the camera of the pickup shop just now.
        """),
    ("delivery", "normal"): lines("""
        I got the mudguards for 26 inch, my bike has 28. Please send the right set.
        Shipment is stuck in "customs clearance" since the 9th, can you find out why?
        The instructions were missing from the carton, and so was the bag with the screws.
        """),
    ("delivery", "low"): lines("""
        May I ask which paper your packing straps are made of? I craft with them.
        Parcel came tonight on time, everything fine, five stars from me.
        maybe offer evening delivery in the future, would be great for shift workers
        """),
    ("returns", "high"): lines("""
        The trailer hitch I am sending back tore off at speed with my dog inside. He is at the vet. Warn your other customers.
        Collection was booked for today and the landlord clears the cellar tomorrow at seven.
        I've been told by someone on the phone to post my return to a private address. I have just dropped it off, can you stop it?
        """),
    ("returns", "normal"): lines("""
        These gloves are too tight, I'd like a size up instead.
        My return was scanned at your warehouse two weeks ago and the refund is nowhere to be seen.
        I lost the form for the return of order 18840, what now?
        """),
    ("returns", "low"): lines("""
        Nice touch to write a thank-you card even for a return!
        Do you resell returned helmets? I am asking for an article in our club magazine.
        At some point I may give the second basket back. I'm in no rush.
        """),
    ("repair", "high"): lines("""
        Brake lever came off in my hand on the bridge. I am shaken, and I have to ride home on it tonight.
        Sparks fly from the display cable when it rains, got a shock through the handlebar.
        My wheelchair bike has no power, I'm alone at the lake and cannot get back.
        """),
    ("repair", "normal"): lines("""
        HELP!! The light flickers on every bump. I tightened the plug, no change.
        Seat post slides down a finger's breadth each ride.
        Could a workshop near Haddon look at the creaking crank of my Wren? It gets on my nerves.
        """),
    ("repair", "low"): lines("""
        Just for interest, who designed the chain guard? It looks so neat.
        A little rust on one bolt of the bottle cage. Never mind, only telling you.
        Your tip with the tyre pressure worked. Thanks a lot!
        """),
    ("billing", "high"): lines("""
        A stranger has taken out an instalment plan in my name, the bank wants my signature by tomorrow.
        You debited my late mother's account this morning, and the funeral home can't be paid today because of it.
        My card data showed up in a screenshot in your help forum. Take it down this minute!
        """),
    ("billing", "normal"): lines("""
        The total on the invoice is 40 more than in the basket. Please explain and correct it.
        You still have my old IBAN for the monthly debit.
        Please issue the bill to our association and not to me in person.
        """),
    ("billing", "low"): lines("""
        Which font do you use on your gift cards? My daughter loves it.
        we pay by invoice and it is super easy, cheers
        If you ever bring back the winter sale, let me know. It isn't urgent.
        """),
    ("account", "high"): lines("""
        I received the password of another customer by mail, in plain text, together with her home address.
        Hackers say they have my Larkspur profile and will publish it tonight.
        My account is locked and I must change the address before the bike leaves today at 3 pm.
        """),
    ("account", "normal"): lines("""
        Your app shows 0 km although I rode all month. Reinstalling did not help.
        I can't confirm my e-mail, the button does nothing.
        I found out today that I have two customer numbers, 5530 and 9127. Please merge them.
        """),
    ("account", "low"): lines("""
        Do the badges in the app mean anything? They are cute.
        I like how short your sign-up form is.
        A language switch on the profile page would be welcome, perhaps next year.
        """),
}

EVAL = {
    ("delivery", "high"): lines("""
        Today at five is the farewell party of our boss, the gift bike is on your truck somewhere. Where exactly is it?
        Your carrier forced the lock of our shared hallway and left the door wide open. My neighbour's pram is already gone.
        lovely bike, thanks, only that the carton fell off the tail lift and hit my husband on the head, he feels dizzy
        I am waiting at the ferry with no bike. It should have been at the port office by noon and the boat goes in two hours.
        Delivery man took a photo of my passport and now asks me for money on WhatsApp.
        The e-bike battery was delivered in the rain, the box is soaked and something inside is crackling.
        Our summer camp opens tomorrow with 20 children and not one of the 20 helmets has turned up.
        Please stop parcel 88213! It is going to an address that an impostor gave you over the phone.
        """),
    ("delivery", "normal"): lines("""
        Two weeks today, and all that I ever get from tracking is "on its way".
        I ordered a left mirror and found a right one in the bag.
        Our street has a new name since January, and your carrier keeps missing it. Kindly update order 60314.
        VERY VERY URGENT. The bike is here, the key for its lock is not.
        Half of the order came, the receipt says everything was shipped. I am missing the pump and the tubes.
        hi, the driver left a card that nobody was home. i was home all day, the dog was home, my mother in law was home, and the bell works because the postman rang it an hour later. please try again next week, any day but monday
        A dent in the top tube was there as I opened the carton, the box had a hole at the same spot.
        When will the basket follow? You wrote "in a few days" on the 2nd and today is the 19th.
        """),
    ("delivery", "low"): lines("""
        I love the smell of a new bike carton. That is all I wanted to tell you.
        For a talk at my school: how many parcels do you send on a normal day?
        As of today your tracking map shows my village on the wrong side of the river, funny but harmless.
        Could the delivery mail have a calendar file attached? It would be a nice extra.
        i am in no hurry with the second lock, send it whenever your next truck goes this way
        Are there plans for pickup points on the islands? We're thinking of moving there in a few years.
        Great packaging, hardly any waste. Thanks!
        Does the same driver always come to our street? He always whistles, and we like it.
        """),
    ("returns", "high"): lines("""
        The scooter I am giving back started burning in my hall, the fire brigade has just left. Do not send anyone to collect it by car.
        My visa ends tomorrow. The bike has to be picked up in the next few hours or I lose the whole sum.
        The return label you mailed me carries the bank details and phone number of a Mr Haas. I suppose he is being sent mine.
        A person in a Larkspur jacket collected my bike, and now the real driver is here and asks for it.
        tomorrow is the final day to give it back and the label you sent has someone elses name on it
        Thank you for the smooth exchange so far. The new helmet, though, split in two in a fall. I have a concussion, and my sons wear the same model.
        I'm sitting in the courier's depot with a 30 kg box and no code. They close in forty minutes and I have no car tomorrow.
        Refund of my return was redirected by someone who hacked my mail. The bank can still hold it if you call them within the hour.
        """),
    ("returns", "normal"): lines("""
        Tested the saddle tonight, not for me. How do I send it in?
        I was promised an exchange in size L, and an S turned up. Let's try that once more.
        It is nearly a month since you got my handlebar back. I have seen no money so far.
        The bike went back in the very carton it came in, with the foam corners and even the strap you used. My neighbour helped me and took a photo. You kept part of my money for a missing carton. Please check that again.
        The display that I sent back came home to me again, unopened. What went wrong?
        wrong shoes, right box. want to swap them
        Nobody came on the day agreed to collect the cargo bike. Can we find a new date next week?
        I'd like to cancel the purchase of the kids trailer, it is lying here in its wrapping.
        """),
    ("returns", "low"): lines("""
        Gave back a bike today for the first time, it went like clockwork. Bravo.
        Do many people return the red one? I am fond of it and was surprised to see it in the outlet.
        Perhaps add a progress bar to the returns page. Only my two cents.
        If I buy a present in November, is it a problem when it comes back in January? I'm planning far ahead.
        The return slip is printed slightly askew. Not that it matters.
        what do the letters on the return form stand for, just being nosy
        We are going to keep the bike instead of giving it back, so you need not do anything. Thanks for your patience.
        I have an old catalogue that speaks of "free lifelong exchange". Was that a joke? It made us laugh.
        """),
    ("repair", "high"): lines("""
        The pedal broke off while I was overtaking a bus. I fell, and my knee needs stitches.
        Wheel nuts were never tightened by your fitter, I noticed it when the front wheel left the fork. My girl rides an identical bike.
        Took the forest road because it looked shorter. Motor dead, then the chain jammed between hub and frame, temperature below zero, phone at 9 percent, no house in sight. Who can pick me up?
        there's a burnt smell and the charger is too hot to touch, it's next to the kids room
        My licence test on the cargo bike is tomorrow morning and the brakes fail the check.
        The workshop gave my bike to somebody who simply said my name. It is gone.
        I would like to report, without blaming anybody, that the handlebar turns without the wheel turning. I found out at a crossroads, nearly under a lorry.
        I deliver meals to housebound people. The bike will not move, twelve lunches are getting cold in the box.
        """),
    ("repair", "normal"): lines("""
        There is play in the headset, you can feel it when braking lightly. I would like it adjusted.
        The zipper of the pannier tore after three months. Is this a case for the warranty?
        Unbelievable! Since the last update my display counts miles, and I can't set it back.
        Hub clicks in gear 5, and only in 5.
        my rear light has died, the bulb can't be swapped. need a replacement
        I had a puncture on Sunday and would like to have both tyres changed in the coming weeks.
        Workshop says they wait for a part from you, you say they never ordered it. Could you sort it out between you?
        The left brake squeals so loudly that dogs bark at me. It does stop well.
        """),
    ("repair", "low"): lines("""
        What's the nicest way to polish the bell? Mine still works, I only want it to shine.
        Your mechanic at the spring market took half an hour to explain a hub gear to my grandson, with the lid off and grease up to the elbows. The boy talks of nothing else and wants to become one himself. I thought that you should know.
        The varnish on my chain guard has faded a bit after six years. No complaint, it had a long life.
        Do you think I could paint the fork myself one day? I have not decided yet.
        the manual says 'tighten gently'. how gently is gently, asks a bored engineer
        A poster on adjusting the brakes of a Wren would be a lovely thing for our hobby room.
        When my first service comes up next year, can I wait there and drink a coffee?
        My kickstand makes a cheerful little squeak. I would miss it, so please do nothing.
        """),
    ("billing", "high"): lines("""
        I've just noticed that a person unknown to me has been buying vouchers with my card since this morning.
        If the paid stamp is not on my desk tomorrow, our grant of 40,000 is lost. Please mail the receipt today.
        Your system has taken the price of a bike eleven times, I am at the petrol station and can't pay to get home.
        A caller from "your collections team" says police will come tonight unless I buy gift cards. I am scared.
        we have to close the books today and the credit note 771 is still missing
        Is it intended that I can read the card numbers of other people on the page where I pay?
        Bailiff's letter: seizure on Wednesday, which is tomorrow. Your bill was settled long ago, here is the proof.
        My son's savings were cleared out through your checkout, a friend of his had the PIN. More payments are pending now.
        """),
    ("billing", "normal"): lines("""
        Are you kidding me?! One bike, one bill, that's what I expected. What I have is two bills with different numbers.
        My company name is wrong on invoice 3094, tax office wants it exact. It's due at the end of the quarter.
        The gift card was for 100, only 50 was taken off the price.
        I returned nothing and yet received a credit note. What is it for? I think it is someone else's.
        newsletter code doesn't work at checkout, says expired, got it 3 days ago
        You charge me for theft insurance that I never asked for.
        Direct debit failed because I changed banks. How can I pay the missing instalment?
        I compared my payslips of three months with the leasing contract. The contract says one rate, the payslip another, 12 euros a month too much. My personnel office says that the figure comes from you. Please look into it.
        """),
    ("billing", "low"): lines("""
        Do you round the cents up or down? My maths pupils would like to know.
        Paying was smoother than in any shop I know. Just praise today.
        The thank-you page after payment has a broken picture of a duck. Poor duck.
        Will there be vouchers with a sunflower on them again? I liked those.
        i don't need it soon, but a printed receipt for my scrapbook would be sweet
        Have you thought about accepting payments in two currencies? An idea from a border town.
        We are sketching a budget for the year after next. Is there a brochure with list prices?
        How come invoices are numbered with a letter in front? I am an archivist, I notice such things.
        """),
    ("account", "high"): lines("""
        My stalker knows when I ride, he must be reading my trips in your app. Switch the sharing off right now.
        I see a login from another continent on my profile and the phone number was replaced ten minutes ago.
        curious thing: your site lets me open any customers file when i change the number in the link. tested it with my brothers
        I have forgotten my password, and the phone for the code is at the bottom of a lake. I know how this sounds. I need to get into my account this afternoon, since the visa office wants the purchase contract before they close.
        Twelve of my contacts just got a mail with a virus from your "invite a friend" page, sent in my name.
        Bike won't unlock by app and I stand in the rain at a mountain hut, next bus is on Monday.
        An employee of yours phoned me in private with details from my profile and threatened me.
        The tablet with our shop's admin login was stolen from the counter a moment ago. Block it.
        """),
    ("account", "normal"): lines("""
        Why does my login work on the laptop today, and on the phone it says "unknown user"?
        I married, please change my name from Lindqvist to Amadi.
        The confirmation mail goes to an address that I typed wrong. Could you correct it to the one I am writing from?
        Your privacy page promises an export of my data. The link there is dead.
        still getting offers by post after asking you to stop in february and again in may
        I can't remove my old card from the profile, the bin symbol does nothing.
        My trips of the last three weeks have vanished from the app.
        We took over the firm Pedal & Sons, and their customer account should now run under our name.
        """),
    ("account", "low"): lines("""
        The captcha with the bicycles at sign-in is the only one I have ever enjoyed.
        I noticed tonight that my customer number has nine digits. Is there a prize for the longest?
        A small wish: let me sort old orders by colour.
        Out of boredom on a night train I read your privacy notice to the end. It was short, it was honest, and I understood all of it, which I cannot say of my bank's. Chapeau to whoever wrote it.
        could the app get a winter theme? no big deal
        Some day, when you have time, you may drop the "Dr" from my profile. I am not that formal.
        Does my profile know my birthday, or was the cake on the login page for everyone?
        Signing in at eight in the evening, I was wished a good morning. It amused me.
        """),
}
